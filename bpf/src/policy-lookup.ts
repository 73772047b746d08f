import type { IpAddress } from './address.ts';
import type { DatapathMaps, FlowEnd, PolicyDirection, PolicyVerdict, TableKey } from './datapath-maps.ts';
import { codes } from './layouts.ts';
import {
  anyIdentity,
  type Generation,
  generation as generationOf,
  type IdentityNumber,
  openGeneration,
  type SubjectNumber,
  worldIdentity,
} from './numbers.ts';
import type { ConnectionEnds } from './opening-packet.ts';

/** What stands in the maps about one side of a connection, looked up as the programs do (lib/policy.h). */
export interface SideOfPolicy {
  readonly direction: PolicyDirection;
  readonly subject: SubjectNumber;
  readonly generation: Generation;
  readonly peerIdentity: IdentityNumber;
  /** `open`: the direction is not enforced. `missing`: no version of the policy is there, so it denies. */
  readonly kind: 'open' | 'missing' | 'enforced';
  /** The entry that decides; null where none matches. */
  readonly entry: PolicyEntry | null;
}

/** An entry under one version of a direction policy. */
export interface PolicyEntry extends Pick<TableKey, 'protocol' | 'port' | 'portPrefixLength'> {
  /** 0 is any peer that has no entries of its own. */
  readonly peer: IdentityNumber;
  readonly verdict: PolicyVerdict;
}

type Maps = Pick<DatapathMaps, 'localAddresses' | 'ipcache' | 'subjects' | 'policyPeers' | 'policyTables'>;

const portBits = 16;
const noGeneration = generationOf(codes.generation.none);

/** What decides about a new connection: one side for each end that is a workload here, egress first. */
export function lookUpPolicy(maps: Maps, ends: ConnectionEnds): readonly SideOfPolicy[] {
  const { source, destination, protocol } = ends;
  const side = (direction: PolicyDirection, own: FlowEnd, peer: FlowEnd): readonly SideOfPolicy[] => {
    const local = maps.localAddresses.get(own.address);
    if (local === undefined) return [];
    const { subject } = local;
    const generation = maps.subjects.get(subject)?.[direction] ?? noGeneration;
    const peerIdentity = identityOf(maps, peer.address);
    const found = { direction, subject, generation, peerIdentity };
    if (generation === noGeneration) return [{ ...found, kind: 'missing', entry: null }];
    if (generation === openGeneration) return [{ ...found, kind: 'open', entry: null }];
    const entry = lookUp(maps, generation, peerIdentity, protocol, destination.port);
    return [{ ...found, kind: 'enforced', entry }];
  };
  return [...side('egress', source, destination), ...side('ingress', destination, source)];
}

function identityOf({ localAddresses, ipcache }: Maps, address: IpAddress): IdentityNumber {
  const length = address.includes(':') ? 128 : 32;
  return localAddresses.get(address)?.identity ?? ipcache.get({ address, length }) ?? worldIdentity;
}

function lookUp(
  { policyPeers, policyTables }: Maps,
  generation: Generation,
  identity: IdentityNumber,
  protocol: number,
  port: number,
): PolicyEntry | null {
  const own = policyPeers.get({ generation, identity });
  const ref = own ?? policyPeers.get({ generation, identity: anyIdentity });
  if (ref === undefined) return null;
  const peer = own === undefined ? anyIdentity : identity;
  const lengths = Array.from({ length: portBits + 1 }, (_, index) => portBits - index);
  const keys = lengths.map((portPrefixLength) => ({
    protocol,
    port: port & (0xffff << (portBits - portPrefixLength)) & 0xffff,
    portPrefixLength,
  }));
  for (const key of [...keys, { protocol: 0, port: 0, portPrefixLength: 0 }]) {
    const verdict = policyTables.get({ table: ref.table, ...key });
    if (verdict !== undefined) return { ...key, peer, verdict };
  }
  return null;
}

/** Every entry of every version that is in force, with whose it is. */
export function* policyEntries(
  maps: Maps,
): IterableIterator<PolicyEntry & { readonly generation: Generation }> {
  const tables = Map.groupBy(maps.policyTables.entries(), ([{ table }]) => table);
  for (const [{ generation, identity }, { table }] of maps.policyPeers.entries()) {
    for (const [{ protocol, port, portPrefixLength }, verdict] of tables.get(table) ?? []) {
      yield { generation, peer: identity, protocol, port, portPrefixLength, verdict };
    }
  }
}
