import { type Prefix, parsePrefix } from '../net/prefix.ts';
import type { Labels } from '../types/fact.ts';
import { anyIdentity, type Identity, identity, reservedIdentities } from '../types/identity.ts';

export interface Label {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/** One identity, with a small index that bit sets use. */
export interface IdentityRow {
  readonly index: number;
  readonly identity: Identity;
  /** Sorted. */
  readonly labels: Labels;
  readonly parsed: readonly Label[];
  /** The addresses it stands for, where it is one of a prefix. */
  readonly prefixes: readonly Prefix[];
  readonly node: boolean;
  /** How many facts need it. */
  holders: number;
}

/** Splits `source:key=value`. */
export function parseLabel(label: string): Label {
  const equals = label.indexOf('=');
  const name = equals < 0 ? label : label.slice(0, equals);
  const value = equals < 0 ? '' : label.slice(equals + 1);
  const colon = name.indexOf(':');
  return colon < 0
    ? { source: 'unspec', key: name, value }
    : { source: name.slice(0, colon), key: name.slice(colon + 1), value };
}

/** The text of a label as identities carry it: `reserved:host` without an equals sign. */
export function canonicalLabel(label: string): string {
  const { source, key, value } = parseLabel(label);
  return source === 'reserved' || (source === 'cidr' && value === '')
    ? `${source}:${key}`
    : `${source}:${key}=${value}`;
}

/** Sorted, without repetition, in canonical spelling. */
export function canonicalLabels(labels: Labels): Labels {
  return Object.freeze([...new Set(labels.map(canonicalLabel))].sort());
}

/** The number that reserved labels have by themselves; null when an allocator must give one. */
export function reservedNumber(labels: Labels): Identity | null {
  const has = (name: string) => labels.includes(`reserved:${name}`);
  if (has('host')) return reservedIdentities.host;
  if (has('kube-apiserver')) return labels.length <= 2 ? reservedIdentities['kube-apiserver'] : null;
  for (const name of [
    'remote-node',
    'health',
    'init',
    'ingress',
    'unmanaged',
    'world',
    'world-ipv4',
    'world-ipv6',
  ] as const) {
    if (has(name) && labels.length === 1) return reservedIdentities[name];
  }
  return null;
}

export interface IdentityTable {
  get(number: Identity): IdentityRow | undefined;
  at(index: number): IdentityRow | undefined;
  rows(): Iterable<IdentityRow>;
  /** Adds a row at a free index. The number must not be there. */
  add(number: Identity, labels: Labels): IdentityRow;
  /** The number is no longer found; the row keeps its index until `remove`. */
  forget(row: IdentityRow): void;
  /** Frees the index. */
  remove(row: IdentityRow): void;
  /** Identity by index, for values: who is in it stays at its index, whatever comes later. */
  numbers(): readonly Identity[];
  /** One more than the highest index. */
  capacity(): number;
}

export function createIdentityTable(): IdentityTable {
  const byNumber = new Map<Identity, IdentityRow>();
  const rows: (IdentityRow | undefined)[] = [];
  const free: number[] = [];
  let numbers: Identity[] = [];
  let handedOut = false;
  const unnumber = (index: number) => {
    if (handedOut) numbers = numbers.slice();
    handedOut = false;
    numbers[index] = anyIdentity;
  };
  return {
    get: (number) => byNumber.get(number),
    at: (index) => rows[index],
    rows: () => byNumber.values(),
    add(number, labels) {
      const reused = free.pop();
      const index = reused ?? rows.length;
      numbers[index] = number;
      const row = makeRow(index, number, labels);
      rows[index] = row;
      byNumber.set(number, row);
      return row;
    },
    forget(row) {
      if (byNumber.get(row.identity) === row) byNumber.delete(row.identity);
      // Another row may take the number before this one frees its index.
      unnumber(row.index);
    },
    remove(row) {
      rows[row.index] = undefined;
      free.push(row.index);
      unnumber(row.index);
    },
    numbers() {
      handedOut = true;
      return numbers;
    },
    capacity: () => rows.length,
  };
}

function makeRow(index: number, number: Identity, labels: Labels): IdentityRow {
  const parsed = labels.map(parseLabel);
  const reserved = (name: string) =>
    parsed.some((label) => label.source === 'reserved' && label.key === name);
  const prefixes = parsed.flatMap((label) => {
    const prefix = label.source === 'cidr' ? parsePrefix(label.key.replaceAll('-', ':')) : null;
    return prefix === null ? [] : [prefix];
  });
  const world = [
    { number: [identity(2), reservedIdentities['world-ipv4']], text: '0.0.0.0/0' },
    { number: [identity(2), reservedIdentities['world-ipv6']], text: '::/0' },
  ].flatMap(({ number: numbers, text }) => {
    const prefix = numbers.includes(number) ? parsePrefix(text) : null;
    return prefix === null ? [] : [prefix];
  });
  return {
    index,
    identity: number,
    labels,
    parsed,
    prefixes: [...prefixes, ...world],
    node: reserved('remote-node'),
    holders: 0,
  };
}
