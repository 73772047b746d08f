/** A workloads file that must be refused, and where. */
export interface RefusedFile {
  readonly name: string;
  readonly text: string;
  readonly at: `${number}:${number}`;
  readonly says: RegExp;
}

const ONE = (fields: string): string => `workloads:\n  - ${fields}\n`;

export const refused: readonly RefusedFile[] = [
  { name: 'broken YAML', text: 'workloads:\n  - {name: a', at: '2:13', says: /flow|end/i },
  { name: 'no list', text: 'workloads: 3\n', at: '1:1', says: /list `workloads:`/ },
  {
    name: 'unknown field at the root',
    text: 'workloads: []\nworkload: []\n',
    at: '2:1',
    says: /unknown field `workload`/,
  },
  {
    name: 'unknown field',
    text: ONE('{name: a, labels: {app: a}, interface: v, addresses: [10.0.0.1], label: {}}'),
    at: '2:70',
    says: /unknown field `label`/,
  },
  {
    name: 'bad name',
    text: ONE('{name: A b, labels: {app: a}, interface: v, addresses: [10.0.0.1]}'),
    at: '2:12',
    says: /no workload name/,
  },
  {
    name: 'a label that is a number',
    text: ONE('{name: a, labels: {app: 1}, interface: v, addresses: [10.0.0.1]}'),
    at: '2:29',
    says: /must be a string: write "1"/,
  },
  {
    name: 'no label',
    text: ONE('{name: a, interface: v, addresses: [10.0.0.1]}'),
    at: '2:5',
    says: /at least one label/,
  },
  {
    name: 'interface and netns',
    text: ONE('{name: a, labels: {app: a}, interface: v, netns: n, addresses: [10.0.0.1]}'),
    at: '2:54',
    says: /exactly one of/,
  },
  {
    name: 'no address',
    text: ONE('{name: a, labels: {app: a}, interface: v, addresses: []}'),
    at: '2:58',
    says: /at least one IP address/,
  },
  {
    name: 'loopback address',
    text: ONE('{name: a, labels: {app: a}, interface: v, addresses: [127.0.0.1]}'),
    at: '2:59',
    says: /cannot be a workload's own/,
  },
  {
    name: 'no address at all',
    text: ONE('{name: a, labels: {app: a}, interface: v, addresses: [10.0.0.300]}'),
    at: '2:59',
    says: /no IP address/,
  },
  {
    name: 'an address twice',
    text: `${ONE('{name: a, labels: {app: a}, interface: v, addresses: [10.0.0.1]}')}  - {name: b, labels: {app: a}, interface: w, addresses: [10.0.0.1]}\n`,
    at: '3:5',
    says: /address 10.0.0.1 is already that of workload a/,
  },
  {
    name: 'an unknown answer',
    text: ONE('{name: a, labels: {app: a}, interface: v, addresses: [10.0.0.1], denyAction: reject}'),
    at: '2:82',
    says: /`denyAction: reject` is neither drop nor reset/,
  },
  {
    name: 'bad named port',
    text: ONE('{name: a, labels: {app: a}, interface: v, addresses: [10.0.0.1], namedPorts: {http: "80"}}'),
    at: '2:82',
    says: /PORT\/TCP/,
  },
];
