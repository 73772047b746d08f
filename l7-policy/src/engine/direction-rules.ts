import type { Grant, Peer, PortMatch, Rule, SectionEffect } from '../model/policy.ts';
import { reservedPeer } from '../parse/entities.ts';
import type { NamedPort } from '../types/fact.ts';
import type { Direction } from '../types/subject-policy.ts';
import type { Contribution } from './compile-table.ts';
import type { DirectionRules } from './direction-policy.ts';
import type { NamedPortCondition } from './peer-facts.ts';
import { type PortCode, portCodes } from './port-code.ts';
import type { Selector } from './selector-cache.ts';

export interface DirectionContext {
  readonly direction: Direction;
  readonly allowLocalhost: boolean;
  /** The subject is the local node itself. */
  readonly host: boolean;
  /** Of the subject, by which its ingress rules' port names are read. */
  readonly namedPorts: readonly NamedPort[];
  /** The ports that any peer has under a name, by which egress rules' port names are read. */
  readonly peerPorts: (name: string, protocol: number) => Iterable<number>;
  readonly acquire: (peer: Exclude<Peer, { kind: 'any' }>, port: NamedPortCondition | null) => Selector;
}

const protocolOf = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const everything: readonly PortCode[] = Object.freeze([0]);

/** What the rules that select a subject say about one direction, before anything is looked up. */
export interface DirectionGrants {
  readonly grants: readonly Grant[];
  /** What no grant covers is denied; else it is allowed. */
  readonly defaultDeny: boolean;
}

/**
 * The grants that count in one direction; null when nothing restricts it.
 *
 * Default deny holds where some rule asks for it. Where rules are there but none asks, everything else is
 * allowed: then only denies matter, and without them nothing needs to be enforced.
 */
export function grantsThatCount(
  rules: Iterable<Rule>,
  direction: Direction,
  alwaysEnforced: boolean,
): DirectionGrants | null {
  let defaultDeny = alwaysEnforced;
  const grants: Grant[] = [];
  for (const rule of rules) {
    const section: SectionEffect = rule[direction];
    if (section === 'none') continue;
    if (section === 'default-deny') defaultDeny = true;
    for (const grant of rule.grants) if (grant.direction === direction) grants.push(grant);
  }
  if (defaultDeny) return { grants, defaultDeny };
  const denies = grants.filter((grant) => grant.effect === 'deny');
  return denies.length === 0 ? null : { grants: denies, defaultDeny };
}

/** Turns grants into contributions of selectors, which it acquires. */
export function collectDirection(
  { grants, defaultDeny }: DirectionGrants,
  context: DirectionContext,
): DirectionRules {
  const builder = createBuilder(context);
  for (const grant of grants) builder.add(grant);
  if (!defaultDeny) builder.addAny({ effect: 'allow', codes: everything, slot: null });
  else if (context.direction === 'ingress' && context.allowLocalhost && !context.host) {
    builder.addPeer(reservedPeer('host'), null, { effect: 'allow', codes: everything, slot: null });
  }
  return builder.finish();
}

/** Names of ports that grants use. */
export function portNames(grants: readonly Grant[]): readonly string[] {
  const names = new Set<string>();
  for (const { ports } of grants) for (const port of ports) if (port.kind === 'named') names.add(port.name);
  return [...names].sort();
}

interface Builder {
  add(grant: Grant): void;
  addAny(contribution: Contribution): void;
  addPeer(peer: Peer, port: NamedPortCondition | null, contribution: Contribution): void;
  finish(): DirectionRules;
}

function createBuilder(context: DirectionContext): Builder {
  const any: Contribution[] = [];
  const own = new Map<Selector, Contribution[]>();

  const addPeer: Builder['addPeer'] = (peer, port, contribution) => {
    if (peer.kind === 'any' && port === null) {
      any.push(contribution);
      return;
    }
    // A named port of any peer asks only that the peer has it.
    const asked = peer.kind === 'any' ? ({ kind: 'labels', selector: { requirements: [] } } as const) : peer;
    const selector = context.acquire(asked, port);
    const list = own.get(selector) ?? [];
    list.push(contribution);
    own.set(selector, list);
  };

  return {
    addPeer,
    addAny: (contribution) => void any.push(contribution),
    add(grant) {
      const effect = grant.effect === 'deny' ? 'deny' : grant.slot === null ? 'allow' : 'l7';
      const { fixed, perPeer } = resolvePorts(grant.ports, context);
      if (fixed.length > 0) {
        const contribution = { effect, codes: fixed, slot: grant.slot } as const;
        for (const peer of grant.peers) addPeer(peer, null, contribution);
      }
      for (const { condition, codes } of perPeer) {
        const contribution = { effect, codes, slot: grant.slot } as const;
        for (const peer of grant.peers) addPeer(peer, condition, contribution);
      }
    },
    finish() {
      const sorted = [...own]
        .sort(([a], [b]) => (a.key < b.key ? -1 : 1))
        .map(([selector, contributions]) => ({ selector, contributions: dropUnnamed(contributions) }));
      return {
        any: dropUnnamed(any),
        own: sorted,
        ordinals: new Map(sorted.map(({ selector }, ordinal) => [selector, ordinal])),
      };
    },
  };
}

interface ResolvedPorts {
  readonly fixed: readonly PortCode[];
  readonly perPeer: readonly {
    readonly condition: NamedPortCondition;
    readonly codes: readonly PortCode[];
  }[];
}

function resolvePorts(ports: readonly PortMatch[], context: DirectionContext): ResolvedPorts {
  const fixed = new Set<PortCode>();
  const perPeer: ResolvedPorts['perPeer'][number][] = [];
  for (const port of ports) {
    if (port.kind !== 'named') {
      for (const code of portCodes(port)) fixed.add(code);
      continue;
    }
    for (const protocol of port.protocols) {
      if (context.direction === 'ingress') {
        for (const number of portsNamed(context.namedPorts, port.name, protocol)) {
          for (const code of single(protocol, number)) fixed.add(code);
        }
        continue;
      }
      for (const number of context.peerPorts(port.name, protocol)) {
        perPeer.push({
          condition: { name: port.name, protocol, port: number },
          codes: single(protocol, number),
        });
      }
    }
  }
  return { fixed: [...fixed], perPeer };
}

function single(protocol: number, port: number): readonly PortCode[] {
  return portCodes({ kind: 'range', protocols: [protocol], low: port, high: port });
}

/** The numbers that an endpoint has under a port name. */
export function portsNamed(ports: readonly NamedPort[], name: string, protocol: number): readonly number[] {
  return ports
    .filter((port) => port.name.toLowerCase() === name && protocolOf[port.protocol] === protocol)
    .map((port) => port.port);
}

/**
 * Server names are mandatory for the peers and port that name some: a plain grant of exactly the same peers and
 * port does not open the port past them. (A grant of other or wider peers or ports does.)
 */
function dropUnnamed(contributions: readonly Contribution[]): readonly Contribution[] {
  const named = contributions.filter((item) => item.slot?.kind === 'tls');
  if (named.length === 0) return contributions;
  const codes = new Set(named.flatMap((item) => item.codes));
  return contributions.flatMap((item) => {
    if (item.effect !== 'allow' || !item.codes.some((code) => codes.has(code))) return [item];
    const rest = item.codes.filter((code) => !codes.has(code));
    return rest.length === 0 ? [] : [{ ...item, codes: rest }];
  });
}
