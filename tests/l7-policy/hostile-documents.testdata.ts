/** A text made to hurt whoever reads it. */
export interface HostileText {
  readonly name: string;
  readonly text: string;
  /** Every document of it must be refused; else it may be accepted as what it says. */
  readonly refused: boolean;
}

const head = 'apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: hostile}\n';
const spec = `${head}spec:\n  endpointSelector: {}\n  ingressDeny: [{fromEntities: [none]}]\n`;
const http = (rule: string): string =>
  `${spec}  ingress:\n  - toPorts:\n    - ports: [{port: "80", protocol: TCP}]\n      rules:\n        http:\n        - ${rule}\n`;
const path = (pattern: string): string => http(`{path: ${JSON.stringify(pattern)}}`);
const bomb = (levels: number, width: number): string =>
  Array.from({ length: levels }, (_, level) =>
    level === 0
      ? `a0: &a0 [${'x, '.repeat(width)}x]`
      : `a${level}: &a${level} [${`*a${level - 1}, `.repeat(width)}*a${level - 1}]`,
  ).join('\n');
const mebibyte = 1 << 20;

export const hostileTexts: readonly HostileText[] = [
  { name: 'a bomb of aliases', text: `${bomb(9, 9)}\n`, refused: true },
  { name: 'a deep bomb of aliases', text: `${bomb(60, 2)}\n`, refused: true },
  {
    name: 'a bomb where a list is expected',
    text: `x: &x [${'{}, '.repeat(5000)}{}]\n${head}spec: {endpointSelector: {}, ingress: [{fromEndpoints: *x}, {fromEndpoints: *x}, {fromEndpoints: *x}]}\n`,
    refused: true,
  },
  { name: 'an alias to itself', text: `${head}spec: &a\n  endpointSelector: *a\n`, refused: true },
  { name: 'a list that holds itself', text: '&a [*a, *a]\n', refused: true },
  { name: 'aliases one after the other', text: `a: &a {}\nb: [${'*a, '.repeat(20_000)}*a]\n`, refused: true },
  {
    name: 'many anchors',
    text: `a: [${Array.from({ length: 50_000 }, (_, i) => `&a${i} x`).join(', ')}]\n`,
    refused: true,
  },
  {
    name: 'many aliases to the last of many anchors',
    text: `a: [${Array.from({ length: 9_000 }, (_, i) => `&a${i} x`).join(', ')}]\nb: [${'*a8999, '.repeat(9_000)}x]\n`,
    refused: true,
  },
  { name: 'brackets', text: '['.repeat(mebibyte), refused: true },
  { name: 'braces', text: '{a: '.repeat(mebibyte / 4), refused: true },
  { name: 'balanced brackets', text: '['.repeat(100_000) + ']'.repeat(100_000), refused: true },
  { name: 'dashes', text: '- '.repeat(mebibyte / 2), refused: true },
  { name: 'question marks', text: '? '.repeat(mebibyte / 2), refused: true },
  {
    name: 'steps of indentation',
    text: Array.from({ length: 1400 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    refused: true,
  },
  { name: 'colons', text: 'a: '.repeat(mebibyte / 4), refused: true },
  { name: 'quotes', text: '"'.repeat(mebibyte / 4), refused: true },
  { name: 'a key of a megabyte', text: `${head}${'k'.repeat(mebibyte)}: 1\n`, refused: true },
  { name: 'a value of a megabyte', text: `${spec}  description: ${'v'.repeat(mebibyte)}\n`, refused: false },
  {
    name: 'a label of a megabyte',
    text: `${head}spec: {endpointSelector: {matchLabels: {a: ${'v'.repeat(mebibyte)}}}}\n`,
    refused: true,
  },
  {
    name: 'a name of a megabyte',
    text: `${head.replace('hostile', 'n'.repeat(mebibyte))}spec: {endpointSelector: {}}\n`,
    refused: true,
  },
  { name: 'a comment of a megabyte', text: `#${'c'.repeat(mebibyte)}\n${spec}`, refused: false },
  { name: 'line breaks', text: `${'\n'.repeat(mebibyte)}${spec}`, refused: false },
  { name: 'document marks', text: '---\n'.repeat(mebibyte / 4), refused: false },
  { name: 'many documents', text: `${spec}---\n`.repeat(5_000), refused: true },
  {
    name: 'many unknown fields',
    text: `${spec}${Array.from({ length: 20_000 }, (_, i) => `  f${i}: 1\n`).join('')}`,
    refused: true,
  },
  {
    name: 'many peers',
    text: `${spec}  ingress: [{fromCIDR: [${Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`).join(', ')}]}]\n`,
    refused: false,
  },
  {
    name: 'many labels',
    text: `${spec}  ingress: [{fromEndpoints: [{matchExpressions: [{key: a, operator: In, values: [${Array.from({ length: 50_000 }, (_, i) => `v${i}`).join(', ')}]}]}]}]\n`,
    refused: false,
  },
  {
    name: 'many rules',
    text: http(Array.from({ length: 10_000 }, (_, i) => `{path: /p${i}}`).join('\n        - ')),
    refused: false,
  },
  { name: 'a broken document over and over', text: 'kind: [\n---\n'.repeat(20_000), refused: true },
  {
    name: 'a broken document after many good ones',
    text: `${Array.from({ length: 40 }, (_, i) => `${spec.replace('hostile', `n${i}`)}---\n`).join('')}${head}spec: {endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {a: b}}], toPorts: [`,
    refused: true,
  },
  { name: 'control characters', text: `${spec}  description: "${'\u0001'.repeat(1000)}"\n`, refused: false },
  { name: 'zero bytes', text: '\0'.repeat(mebibyte), refused: true },
  { name: 'lone surrogates', text: `${spec}  description: "\ud800"\n`, refused: false },
  { name: 'a prototype', text: `${spec}  __proto__: {ingress: []}\n`, refused: true },
  { name: 'a constructor', text: `${spec}  constructor: {prototype: {}}\n`, refused: true },
  { name: 'a merge key', text: `x: &x {endpointSelector: {}}\n${head}spec: {<<: *x}\n`, refused: true },
  {
    name: 'a tag for a function',
    text: `${spec}  description: !!js/function "function () {}"\n`,
    refused: false,
  },
  { name: 'a set', text: `${head}spec: !!set {endpointSelector}\n`, refused: true },
  { name: 'bytes', text: `${spec}  description: !!binary "AAAA"\n`, refused: true },
  { name: 'a list as key', text: `${spec}  ? [a, b]\n  : 1\n`, refused: true },
  {
    name: 'a regex that repeats repetitions',
    text: path('((((((a{100}){100}){100}){100}){100}){100})'),
    refused: true,
  },
  { name: 'a regex that would backtrack', text: path('(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*b'), refused: false },
  { name: 'a regex of open groups', text: path('('.repeat(2000)), refused: true },
  { name: 'a regex of groups', text: path('('.repeat(1000) + ')'.repeat(1000)), refused: true },
  { name: 'a regex of alternatives', text: path('a|'.repeat(1000)), refused: false },
  { name: 'a regex of classes', text: path('[\\pL\\PL]'.repeat(200)), refused: false },
  { name: 'a regex of a megabyte', text: path('a'.repeat(mebibyte)), refused: true },
  { name: 'a regex with a back reference', text: path('(a)\\1'), refused: true },
  { name: 'a regex that looks ahead', text: path('(?=a)a'), refused: true },
  { name: 'a regex with a repetition beyond all bounds', text: path('a{99999}'), refused: true },
  { name: 'a regex that closes a group it did not open', text: path('a)|(b'), refused: true },
  {
    name: 'a pattern of stars',
    text: `${spec}  egress: [{toFQDNs: [{matchPattern: "${'*.'.repeat(126)}com"}]}]\n`,
    refused: false,
  },
  {
    name: 'a pattern of too many stars',
    text: `${spec}  egress: [{toFQDNs: [{matchPattern: "${'*.'.repeat(10_000)}com"}]}]\n`,
    refused: true,
  },
  {
    name: 'a port of many digits',
    text: `${spec}  ingress: [{toPorts: [{ports: [{port: "${'9'.repeat(100_000)}"}]}]}]\n`,
    refused: true,
  },
  {
    name: 'an address of many colons',
    text: `${spec}  ingress: [{fromCIDR: ["${':'.repeat(100_000)}/1"]}]\n`,
    refused: true,
  },
];
