/** Workloads and policies that the tests of the command line share. */
export const workloads = `workloads:
- {name: web, labels: {app: web}, interface: veth1, addresses: [10.0.0.1], namedPorts: {http: 80/TCP}}
- {name: cart, labels: {app: cart}, interface: veth2, addresses: [10.0.0.2]}
- {name: broker, labels: {app: broker}, interface: veth3, addresses: [10.0.0.3]}
- {name: dns, labels: {app: dns}, interface: veth4, addresses: [10.0.0.4]}
`;

export const policies = `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: cart}}]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      rules:
        http:
        - {method: GET, path: "/v1/[a-z]+"}
        - {method: PUT, path: /v1/items, headers: ["X-Role admin"]}
        - {method: GET, path: /v1/items, headerMatches: [{name: X-Team, value: blue, mismatch: REPLACE}]}
    - ports: [{port: "50051", protocol: TCP}]
      rules:
        grpc:
        - {service: shop.Cart, method: Get}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: broker}
spec:
  endpointSelector: {matchLabels: {app: broker}}
  ingress:
  - fromEndpoints: [{matchLabels: {app: cart}}]
    toPorts:
    - ports: [{port: "9092", protocol: TCP}]
      rules:
        kafka:
        - {role: produce, topic: orders}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: cart-dns}
spec:
  endpointSelector: {matchLabels: {app: cart}}
  egress:
  - toEndpoints: [{matchLabels: {app: dns}}]
    toPorts:
    - ports: [{port: "53", protocol: UDP}]
      rules:
        dns:
        - {matchPattern: "*.example.com"}
  - toEndpoints: [{matchLabels: {app: web}}, {matchLabels: {app: broker}}]
`;
