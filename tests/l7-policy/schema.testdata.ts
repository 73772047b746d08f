/** Documents with the objects that no conformance case holds. */
export const rareDocuments: readonly string[] = [
  `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: rare}
spec:
  endpointSelector: {}
  description: everything rare
  labels: [{key: a, value: b, source: k8s}]
  log: {value: rare}
  enableDefaultDeny: {ingress: true, egress: false}
  ingress:
  - fromEndpoints: [{}]
    authentication: {mode: disabled}
    toPorts:
    - ports: [{port: "443", protocol: TCP}]
      terminatingTLS: {secret: {namespace: shop, name: cert}}
      originatingTLS: {secret: {name: ca}}
      rules:
        http:
        - headerMatches: [{name: X-Key, secret: {namespace: shop, name: key}, mismatch: REPLACE}]
    - ports: [{port: "50051", protocol: TCP}]
      rules: {grpc: [{service: a.B, method: C}]}
  ingressDeny:
  - fromNodes: [{matchLabels: {role: old}}]
    toPorts: [{ports: [{port: http, protocol: TCP}]}]
  egress:
  - toServices:
    - k8sService: {serviceName: db, namespace: shop}
    - k8sServiceSelector: {selector: {matchLabels: {app: db}}, namespace: shop}
  - toEntities: [world]
    toPorts:
    - ports: [{port: "80", protocol: TCP}]
      listener: {envoyConfig: {kind: CiliumEnvoyConfig, name: proxy}, name: out, priority: 1}
  egressDeny:
  - toCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]
    icmps: [{fields: [{type: 8, family: IPv4}]}]
`,
  `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: rare}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}]}
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80, endPort: 90}]}]
  egress: [{to: [{namespaceSelector: {}}], ports: [{port: dns, protocol: UDP}]}]
`,
  `apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: rare}
spec: {externalCIDRs: [10.0.0.0/8]}
`,
];
