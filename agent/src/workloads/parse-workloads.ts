import { BlockList, isIP, isIPv4 } from 'node:net';
import type { DenyAction } from '@weir/bpf';
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { NamedPort, Workload } from './workload.ts';

/** What is wrong with a workloads file, and where. Line and column count from 1. */
export interface WorkloadProblem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export type WorkloadsResult =
  | { readonly kind: 'workloads'; readonly workloads: readonly Workload[] }
  | { readonly kind: 'refused'; readonly problems: readonly WorkloadProblem[] };

const NAME = /^[a-z0-9]([-a-z0-9._]{0,61}[a-z0-9])?$/;
const INTERFACE = /^[^\s/]{1,15}$/;
const FIELDS = [
  'name',
  'namespace',
  'labels',
  'interface',
  'netns',
  'link',
  'addresses',
  'namedPorts',
  'denyAction',
];

/**
 * Parses a workloads file: `workloads:` with a list of `{name, namespace?, labels, interface | netns
 * [+ link], addresses, namedPorts?, denyAction?}`. One problem refuses the file: half a list of workloads would
 * leave the other half without protection.
 */
export function parseWorkloads(text: string, file: string): WorkloadsResult {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const problems: WorkloadProblem[] = [];

  function refuse(node: Node | null | undefined, message: string): undefined {
    const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
    problems.push({ file, line, column: col, message });
    return undefined;
  }

  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    problems.push({ file, line, column: col, message: error.message.split('\n', 1)[0] ?? error.code });
  }
  if (problems.length > 0) return { kind: 'refused', problems };

  const root = document.contents;
  const list = isMap(root) ? root.get('workloads', true) : undefined;
  if (!isMap(root) || !isSeq(list)) {
    refuse(root, 'expected a mapping with the list `workloads:`');
    return { kind: 'refused', problems };
  }
  for (const pair of root.items) {
    const key = keyOf(pair);
    if (key !== 'workloads') refuse(keyNode(pair), `unknown field \`${key}\`; only \`workloads\` is known`);
  }

  const workloads = list.items.flatMap((item) => {
    const workload = parseWorkload(item as Node);
    return workload === undefined ? [] : [{ workload, node: item as Node }];
  });
  const owners = new Map<string, string>();
  for (const { workload, node } of workloads) {
    for (const claim of [
      `name ${workload.name}`,
      ...workload.addresses.map((address) => `address ${address}`),
    ]) {
      const owner = owners.get(claim);
      if (owner !== undefined) refuse(node, `${claim} is already that of workload ${owner}`);
      owners.set(claim, workload.name);
    }
  }
  return problems.length > 0
    ? { kind: 'refused', problems }
    : { kind: 'workloads', workloads: workloads.map(({ workload }) => workload) };

  function parseWorkload(node: Node): Workload | undefined {
    if (!isMap(node))
      return refuse(node, 'expected a workload: a mapping with `name`, `labels`, `addresses`');
    for (const pair of node.items) {
      const key = keyOf(pair);
      if (!FIELDS.includes(key))
        refuse(keyNode(pair), `unknown field \`${key}\`; known are ${FIELDS.join(', ')}`);
    }
    const field = (name: string): Node | undefined => node.get(name, true) as Node | undefined;
    const before = problems.length;

    const name = text_(field('name'), node, 'name');
    if (name !== undefined && !NAME.test(name))
      refuse(field('name'), `\`${name}\` is no workload name: lower-case letters, digits, - . _, at most 63`);
    const namespace =
      field('namespace') === undefined ? 'default' : text_(field('namespace'), node, 'namespace');
    const labels = stringMap(field('labels'), 'labels');
    if (problems.length === before && Object.keys(labels).length === 0) {
      refuse(
        field('labels') ?? node,
        'a workload needs at least one label: policies know it by nothing else',
      );
    }
    const attachment = parseAttachment(node, field);
    const addresses = parseAddresses(field('addresses') ?? node);
    const namedPorts = parseNamedPorts(field('namedPorts'));
    const denyAction = parseDenyAction(field('denyAction'), node);
    if (problems.length > before || name === undefined || namespace === undefined || attachment === undefined)
      return undefined;
    return Object.freeze({
      name,
      namespace,
      labels,
      attachment,
      addresses,
      namedPorts,
      ...(denyAction === undefined ? {} : { denyAction }),
    });
  }

  function parseAttachment(
    node: Node,
    field: (name: string) => Node | undefined,
  ): Workload['attachment'] | undefined {
    const [byName, byNetns] = [field('interface'), field('netns')];
    if ((byName === undefined) === (byNetns === undefined)) {
      return refuse(
        byNetns ?? node,
        'exactly one of `interface` (the host side of the veth pair) and `netns` is needed',
      );
    }
    if (byName !== undefined) {
      const name = text_(byName, node, 'interface');
      if (name === undefined) return undefined;
      if (!INTERFACE.test(name)) return refuse(byName, `\`${name}\` is no interface name`);
      if (field('link') !== undefined) return refuse(field('link'), '`link` goes with `netns`');
      return { kind: 'interface', name };
    }
    const netns = text_(byNetns, node, 'netns');
    const link = field('link') === undefined ? 'eth0' : text_(field('link'), node, 'link');
    return netns === undefined || link === undefined ? undefined : { kind: 'netns', netns, link };
  }

  function parseAddresses(node: Node): readonly string[] {
    if (!isSeq(node) || node.items.length === 0) {
      refuse(node, 'expected `addresses`: a list of at least one IP address');
      return [];
    }
    return node.items.flatMap((item) => {
      const address = text_(item as Node, node, 'addresses');
      if (address === undefined) return [];
      if (isIP(address) === 0) {
        refuse(item as Node, `\`${address}\` is no IP address`);
        return [];
      }
      if (unusable.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')) {
        refuse(item as Node, `${address} cannot be a workload's own address`);
        return [];
      }
      return [canonicalAddress(address)];
    });
  }

  function parseNamedPorts(node: Node | undefined): Readonly<Record<string, NamedPort>> {
    const ports: Record<string, NamedPort> = {};
    for (const [name, value] of Object.entries(node === undefined ? {} : stringMap(node, 'namedPorts'))) {
      const [, port, protocol] = /^(\d{1,5})\/(TCP|UDP|SCTP)$/.exec(value) ?? [];
      if (
        (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') ||
        Number(port) < 1 ||
        Number(port) > 65535
      ) {
        refuse(node, `named port \`${name}: ${value}\` is not of the form PORT/TCP, PORT/UDP or PORT/SCTP`);
        continue;
      }
      ports[name] = { port: Number(port), protocol };
    }
    return Object.freeze(ports);
  }

  function parseDenyAction(node: Node | undefined, parent: Node): DenyAction | undefined {
    if (node === undefined) return undefined;
    const word = text_(node, parent, 'denyAction');
    if (word === undefined || word === 'drop' || word === 'reset') return word;
    return refuse(node, `\`denyAction: ${word}\` is neither drop nor reset`);
  }

  function stringMap(node: Node | undefined, name: string): Readonly<Record<string, string>> {
    if (node === undefined) return {};
    if (!isMap(node)) {
      refuse(node, `expected \`${name}\` to be a mapping of strings`);
      return {};
    }
    const entries = node.items.flatMap((pair): [string, string][] => {
      const value = text_(pair.value as Node | undefined, keyNode(pair), `${name}.${keyOf(pair)}`);
      return value === undefined ? [] : [[keyOf(pair), value]];
    });
    return Object.freeze(Object.fromEntries(entries));
  }

  function text_(node: Node | undefined, parent: Node | undefined, name: string): string | undefined {
    if (isScalar(node) && typeof node.value === 'string') return node.value;
    if (isScalar(node) && (typeof node.value === 'number' || typeof node.value === 'boolean')) {
      return refuse(node, `\`${name}\` must be a string: write "${node.source ?? String(node.value)}"`);
    }
    return refuse(node ?? parent, `\`${name}\` is missing or no string`);
  }
}

/** The one spelling of an address that is used as a key everywhere. */
export function canonicalAddress(address: string): string {
  return isIPv4(address) ? address : new URL(`http://[${address}]`).hostname.slice(1, -1);
}

const unusable = new BlockList();
unusable.addSubnet('127.0.0.0', 8, 'ipv4');
unusable.addAddress('0.0.0.0', 'ipv4');
unusable.addSubnet('224.0.0.0', 4, 'ipv4');
unusable.addAddress('255.255.255.255', 'ipv4');
unusable.addAddress('::', 'ipv6');
unusable.addAddress('::1', 'ipv6');
unusable.addSubnet('ff00::', 8, 'ipv6');
unusable.addSubnet('fe80::', 10, 'ipv6');

function keyNode(pair: Pair): Node | undefined {
  return pair.key as Node | undefined;
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : '?';
}
