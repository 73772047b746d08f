import type { PortMatch } from '../model/policy.ts';
import { type Fields, optionalText, readFields, readList, readText } from './fields.ts';
import { icmpTypeNumber } from './icmp-types.ts';
import type { Refusals } from './refusals.ts';
import { kindName, type Value } from './value.ts';

/** IANA protocol numbers by the names that policies use. */
export const protocolNumbers = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPV6: 58 } as const;
const portProtocols = [protocolNumbers.TCP, protocolNumbers.UDP, protocolNumbers.SCTP] as const;

/** Cilium's limits on one item. */
const maxPorts = 40;

export interface PortsOfItem {
  readonly ports: readonly PortMatch[];
  /** The protocol of each entry as the policy has it, with its place, for the checks of L7 rules. */
  readonly written: readonly {
    readonly at: number;
    readonly protocol: string;
    readonly zero: boolean;
    readonly range: boolean;
  }[];
}

/** The `ports` of a toPorts item. */
export function readPorts(refusals: Refusals, value: Value, what: string): PortsOfItem {
  const items = readList(refusals, value, what);
  if (items.length > maxPorts) refusals.error(value.at, `too many ports, the max is ${maxPorts}`);
  const ports: PortMatch[] = [];
  const written: PortsOfItem['written'][number][] = [];
  for (const item of items.slice(0, maxPorts)) {
    const fields = readFields(refusals, item, `${what}[]`, ['port', 'endPort', 'protocol']);
    if (fields === null) continue;
    const protocol = readProtocol(refusals, fields, what);
    const port = readPort(refusals, fields, what, protocol.numbers);
    if (port === null) continue;
    ports.push(port);
    written.push({
      at: fields.at,
      protocol: protocol.name,
      zero: port.kind === 'range' && port.low === 0,
      range: port.kind === 'range' && port.low !== port.high && port.low !== 0,
    });
  }
  return { ports, written };
}

/** A missing protocol is ANY, which stands for every protocol that has ports. */
function readProtocol(
  refusals: Refusals,
  fields: Fields,
  what: string,
): { name: string; numbers: readonly number[] } {
  const text = optionalText(refusals, fields, 'protocol', `${what}[]`) ?? 'ANY';
  const name = text === '' ? 'ANY' : text.toUpperCase();
  switch (name) {
    case 'ANY':
      return { name, numbers: portProtocols };
    case 'TCP':
    case 'UDP':
    case 'SCTP':
      return { name, numbers: [protocolNumbers[name]] };
    case 'ICMP':
    case 'ICMPV6':
      refusals.error(
        fields.keyAt('protocol'),
        `protocol ${name} has no ports`,
        'use an icmps block in an item of its own',
      );
      return { name, numbers: [] };
    default:
      refusals.error(fields.keyAt('protocol'), `invalid protocol "${text}"`, 'use TCP, UDP, SCTP or ANY');
      return { name, numbers: [] };
  }
}

function readPort(
  refusals: Refusals,
  fields: Fields,
  what: string,
  protocols: readonly number[],
): PortMatch | null {
  const value = fields.get('port');
  const text = value === null ? '' : readText(refusals, value, `${what}[].port`);
  if (text === null) return null;
  if (text === '') {
    refusals.error(fields.keyAt('port'), 'port must be specified');
    return null;
  }
  const end = readEndPort(refusals, fields, what);
  if (isServiceName(text)) {
    if (end !== null) refusals.error(fields.keyAt('endPort'), 'endPort cannot stand beside a named port');
    return { kind: 'named', protocols, name: text.toLowerCase() };
  }
  const low = portNumber(text);
  if (low === null) {
    refusals.error(
      fields.keyAt('port'),
      `unable to parse port "${text}"`,
      'a number from 0 to 65535 or a name of at most 15 characters',
    );
    return null;
  }
  if (low === 0) {
    if (end !== null && end !== 0)
      refusals.warn(fields.keyAt('endPort'), 'endPort means nothing beside port 0, which is every port');
    return { kind: 'range', protocols, low: 0, high: 65535 };
  }
  if (end !== null && end !== 0 && end < low) {
    refusals.warn(
      fields.keyAt('endPort'),
      `endPort ${end} is lower than port ${low}, so that it means port ${low} alone, as in Cilium`,
    );
  }
  return { kind: 'range', protocols, low, high: Math.max(low, end ?? 0) };
}

function readEndPort(refusals: Refusals, fields: Fields, what: string): number | null {
  const value = fields.get('endPort');
  if (value === null) return null;
  if (value.kind === 'number' && Number.isInteger(value.value) && value.value >= 0 && value.value <= 65535) {
    return value.value;
  }
  refusals.error(value.at, `${what}[].endPort must be a number from 1 to 65535, not ${kindName(value)}`);
  return null;
}

/** Decimal, or with 0x, 0o, 0b and "_" between digits, as Go reads them. */
function portNumber(written: string): number | null {
  const text = /^[0-9]+(_[0-9]+)+$/.test(written) ? written.replaceAll('_', '') : written;
  const number = /^(0|[1-9][0-9]*)$/.test(text)
    ? Number(text)
    : /^0[0-7]+$/.test(text)
      ? Number.parseInt(text, 8)
      : /^0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)$/.test(text)
        ? Number(text)
        : null;
  return number === null || number > 65535 ? null : number;
}

/** RFC 6335: letters, digits and single hyphens, at least one letter, at most 15. */
export function isServiceName(text: string): boolean {
  return text.length <= 15 && /[a-zA-Z]/.test(text) && /^[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*$/.test(text);
}

/** `icmps` of a rule item: types by number or name, IPv4 unless said otherwise. */
export function readIcmps(refusals: Refusals, value: Value, what: string): readonly PortMatch[] {
  return readList(refusals, value, what).flatMap((item) => {
    const block = readFields(refusals, item, `${what}[]`, ['fields']);
    const list = block?.get('fields') ?? null;
    if (list === null) return [];
    const items = readList(refusals, list, `${what}[].fields`);
    if (items.length > maxPorts) refusals.error(list.at, `too many types, the max is ${maxPorts}`);
    return items.slice(0, maxPorts).flatMap((entry) => readIcmpField(refusals, entry, `${what}[].fields[]`));
  });
}

function readIcmpField(refusals: Refusals, value: Value, what: string): PortMatch[] {
  const fields = readFields(refusals, value, what, ['family', 'type']);
  if (fields === null) return [];
  const family = optionalText(refusals, fields, 'family', what) ?? 'IPv4';
  if (family !== 'IPv4' && family !== 'IPv6' && family !== '') {
    refusals.error(fields.keyAt('family'), `wrong family: ${family}`, 'use IPv4 or IPv6');
    return [];
  }
  const type = fields.get('type');
  const protocol = family === 'IPv6' ? protocolNumbers.ICMPV6 : protocolNumbers.ICMP;
  const number =
    type?.kind === 'number' || type?.kind === 'text'
      ? icmpTypeNumber(protocol === protocolNumbers.ICMPV6 ? 6 : 4, type.text)
      : null;
  if (number === null) {
    refusals.error(type?.at ?? fields.at, `${what}.type must be an ICMP type from 0 to 255 or its name`);
    return [];
  }
  return [{ kind: 'range', protocols: [protocol], low: number, high: number }];
}
