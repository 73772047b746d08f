import type { LabelSelector, Peer, ServiceMatch } from '../model/policy.ts';
import type { Direction } from '../types/subject-policy.ts';
import { readCidrSet, readCidrs } from './cidr.ts';
import { entityNames, entityPeers } from './entities.ts';
import { type Fields, nearest, optionalText, readFields, readList, readText } from './fields.ts';
import {
  mentionsKey,
  mentionsPrefix,
  namespaceLabel,
  namespaceLabelsPrefix,
  readSelector,
  withRequirement,
} from './label-selector.ts';
import { readFqdns } from './name-pattern.ts';
import type { Refusals } from './refusals.ts';
import type { Value } from './value.ts';

/** How peer selectors are bound to namespaces. */
export type PeerScope =
  /** A CiliumNetworkPolicy: peers are of its namespace unless they name one. */
  | { readonly kind: 'namespace'; readonly namespace: string }
  /** A clusterwide policy: peers are pods of any namespace; not so for rules that select starting endpoints. */
  | { readonly kind: 'cluster'; readonly selectsInit: boolean }
  /** A plain rule list: selectors mean what they say. */
  | { readonly kind: 'none' };

export interface PeerContext {
  readonly scope: PeerScope;
  readonly clusterName: string;
}

const fieldNames = {
  ingress: ['fromEndpoints', 'fromCIDR', 'fromCIDRSet', 'fromEntities', 'fromNodes'],
  egress: ['toEndpoints', 'toCIDR', 'toCIDRSet', 'toEntities', 'toServices', 'toFQDNs', 'toNodes'],
} as const;

/** Names of the peer fields of a direction, those that are refused included. */
export function peerFieldNames(direction: Direction, deny: boolean): readonly string[] {
  const side = direction === 'ingress' ? 'from' : 'to';
  const names = [...fieldNames[direction], `${side}Groups`, `${side}Requires`];
  return deny ? names.filter((name) => name !== 'toFQDNs') : names;
}

/**
 * The peers of a rule item. null: no peer list at all, which means anybody where ports are named.
 * A list that is there but empty selects nobody.
 */
export function readPeers(
  refusals: Refusals,
  fields: Fields,
  direction: Direction,
  context: PeerContext,
): readonly Peer[] | null {
  const side = direction === 'ingress' ? 'from' : 'to';
  refuseOld(refusals, fields, side);
  const present = fieldNames[direction].filter((name) => fields.get(name) !== null);
  const filled = present.filter((name) => {
    const value = fields.get(name);
    return value?.kind !== 'list' || value.items.length > 0;
  });
  const [first, second] = filled;
  if (first !== undefined && second !== undefined) {
    refusals.error(
      fields.keyAt(second),
      `Combining ${capital(first)} and ${capital(second)} is not supported yet`,
      'split them into two items of the list',
    );
  }
  for (const name of fieldNames[direction]) {
    if (!fields.isNull(name)) continue;
    refusals.warn(
      fields.keyAt(name),
      `${name} has nothing behind it, which is as if it were missing: it limits no peers`,
      `write ${name}: [] for nobody, or remove the field`,
    );
  }
  if (present.length === 0) return null;
  return present.flatMap((name) => {
    const value = fields.get(name);
    return value === null ? [] : readPeerField(refusals, name, value, context);
  });
}

function refuseOld(refusals: Refusals, fields: Fields, side: 'from' | 'to'): void {
  const requires = fields.get(`${side}Requires`);
  if (requires !== null && !(requires.kind === 'list' && requires.items.length === 0)) {
    refusals.error(
      fields.keyAt(`${side}Requires`),
      `${side}Requires was removed from Cilium and is not supported`,
      `put the labels into each ${side}Endpoints selector`,
    );
  }
  if (fields.get(`${side}Groups`) !== null) {
    refusals.error(
      fields.keyAt(`${side}Groups`),
      `${side}Groups asks a cloud provider for addresses, which is not supported`,
      `use ${side}CIDRSet or a CiliumCIDRGroup`,
    );
  }
}

function readPeerField(refusals: Refusals, name: string, value: Value, context: PeerContext): Peer[] {
  switch (name) {
    case 'fromEndpoints':
    case 'toEndpoints':
      return readList(refusals, value, name).map((item) =>
        endpointPeer(readSelector(refusals, item, `${name}[]`), context.scope),
      );
    case 'fromNodes':
    case 'toNodes':
      if (!refusals.nodeSelectorLabels) {
        refusals.error(
          value.at,
          'FromNodes/ToNodes rules can only be applied when the "enable-node-selector-labels" flag is set',
          'start the agent with node labels in identities, or use entities',
        );
      }
      return readList(refusals, value, name).map((item) => ({
        kind: 'nodes',
        selector: readSelector(refusals, item, `${name}[]`),
      }));
    case 'fromCIDR':
    case 'toCIDR':
      return readCidrs(refusals, value, name);
    case 'fromCIDRSet':
    case 'toCIDRSet':
      return readCidrSet(refusals, value, name);
    case 'fromEntities':
    case 'toEntities':
      return readEntities(refusals, value, name, context.clusterName);
    case 'toFQDNs':
      return readFqdns(refusals, value, name).map((match) => ({ kind: 'fqdn', match }));
    default:
      return readServices(refusals, value);
  }
}

/** Binds a selector of pods to the namespaces that its document implies. */
export function endpointPeer(selector: LabelSelector, scope: PeerScope): Peer {
  return { kind: 'labels', selector: scopedSelector(selector, scope) };
}

function scopedSelector(selector: LabelSelector, scope: PeerScope): LabelSelector {
  if (scope.kind === 'none') return selector;
  if (selector.requirements.some((requirement) => requirement.source === 'reserved')) return selector;
  if (mentionsKey(selector, namespaceLabel)) return selector;
  if (scope.kind === 'cluster') {
    return scope.selectsInit
      ? selector
      : withRequirement(selector, { kind: 'exists', source: 'k8s', key: namespaceLabel });
  }
  if (mentionsPrefix(selector, ['k8s', 'any'], namespaceLabelsPrefix)) return selector;
  return withRequirement(selector, {
    kind: 'in',
    source: 'k8s',
    key: namespaceLabel,
    values: [scope.namespace],
  });
}

function readEntities(refusals: Refusals, value: Value, what: string, clusterName: string): Peer[] {
  return readList(refusals, value, what).flatMap((item) => {
    const name = readText(refusals, item, `${what}[]`);
    if (name === null) return [];
    const peers = entityPeers(name, clusterName);
    if (peers === null) {
      const close = nearest(name, entityNames);
      refusals.error(
        item.at,
        `unsupported entity: ${name}`,
        close === null ? `known entities: ${entityNames.join(', ')}` : `did you mean "${close}"?`,
      );
      return [];
    }
    return [...peers];
  });
}

function readServices(refusals: Refusals, value: Value): Peer[] {
  return readList(refusals, value, 'toServices').flatMap((item) => {
    const fields = readFields(refusals, item, 'toServices[]', ['k8sService', 'k8sServiceSelector']);
    if (fields === null) return [];
    const named = fields.get('k8sService');
    const selected = fields.get('k8sServiceSelector');
    if (named !== null && selected !== null) {
      refusals.error(
        fields.at,
        'toServices[] has both k8sService and k8sServiceSelector',
        'split them into two items',
      );
    }
    const services: (ServiceMatch | null)[] = [];
    if (named !== null) services.push(readNamedService(refusals, named));
    if (selected !== null) services.push(readSelectedService(refusals, selected));
    return services.flatMap((service) => (service === null ? [] : [{ kind: 'service', service } as const]));
  });
}

/** A reference without namespace takes services of that name in all of them, as in Cilium. */
function readNamedService(refusals: Refusals, value: Value): ServiceMatch | null {
  const what = 'toServices[].k8sService';
  const fields = readFields(refusals, value, what, ['serviceName', 'namespace']);
  if (fields === null) return null;
  const name = optionalText(refusals, fields, 'serviceName', what);
  if (name === null || name === '') {
    refusals.error(fields.at, `${what} has no serviceName`);
    return null;
  }
  const namespace = optionalText(refusals, fields, 'namespace', what);
  return { kind: 'name', name, namespace: namespace === '' ? null : namespace };
}

function readSelectedService(refusals: Refusals, value: Value): ServiceMatch | null {
  const what = 'toServices[].k8sServiceSelector';
  const fields = readFields(refusals, value, what, ['selector', 'namespace']);
  if (fields === null) return null;
  const selector = fields.get('selector');
  if (selector === null) {
    refusals.error(fields.at, `${what} has no selector`);
    return null;
  }
  const namespace = optionalText(refusals, fields, 'namespace', what);
  return {
    kind: 'labels',
    namespace: namespace === '' ? null : namespace,
    selector: readSelector(refusals, selector, `${what}.selector`),
  };
}

function capital(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
