import type { LabelRequirement, LabelSelector, SectionEffect } from '../model/policy.ts';
import type { Direction } from '../types/subject-policy.ts';
import type { DraftGrant, DraftRule } from './build-rule.ts';
import { type Fields, optionalBoolean, optionalText, readFields, readList, warnOfNulls } from './fields.ts';
import { namespaceLabel, readSelector } from './label-selector.ts';
import { type PeerScope, peerFieldNames, readPeers } from './peers.ts';
import { readIcmps } from './ports.ts';
import type { Refusals } from './refusals.ts';
import { readToPorts, type ToPortsContext } from './to-ports.ts';
import type { Value } from './value.ts';

export interface RuleContext {
  /** null: clusterwide, or a plain rule list. */
  readonly namespace: string | null;
  readonly kind: 'CiliumNetworkPolicy' | 'CiliumClusterwideNetworkPolicy' | 'rule list';
  readonly clusterName: string;
}

const ruleFields = [
  'endpointSelector',
  'nodeSelector',
  'ingress',
  'ingressDeny',
  'egress',
  'egressDeny',
  'enableDefaultDeny',
  'description',
  'labels',
  'log',
];

/** Reads one `spec`. null: it was refused. */
export function readCiliumRule(
  refusals: Refusals,
  value: Value,
  what: string,
  context: RuleContext,
): DraftRule | null {
  const fields = readFields(refusals, value, what, ruleFields);
  if (fields === null) return null;
  const endpoints = fields.get('endpointSelector');
  const nodes = fields.get('nodeSelector');
  if (endpoints !== null && nodes !== null) {
    refusals.error(fields.keyAt('nodeSelector'), 'rule cannot have both EndpointSelector and NodeSelector');
  }
  if (endpoints === null && nodes === null) {
    refusals.error(
      fields.at,
      'rule must have one of EndpointSelector or NodeSelector',
      'endpointSelector: {} selects every endpoint',
    );
  }
  if (nodes !== null && context.kind === 'CiliumNetworkPolicy') {
    refusals.error(
      fields.keyAt('nodeSelector'),
      'rule cannot have NodeSelector in a CiliumNetworkPolicy',
      'use a CiliumClusterwideNetworkPolicy',
    );
  }
  checkRemarks(refusals, fields, what);
  const selected = endpoints ?? nodes;
  const written =
    selected === null
      ? { requirements: [] }
      : readSelector(refusals, selected, endpoints === null ? 'nodeSelector' : 'endpointSelector');
  const selectsInit =
    endpoints !== null &&
    written.requirements.some((item) => item.source === 'reserved' && item.key === 'init');
  const scope: PeerScope =
    context.kind === 'rule list'
      ? { kind: 'none' }
      : context.namespace === null
        ? { kind: 'cluster', selectsInit }
        : { kind: 'namespace', namespace: context.namespace };
  const node = endpoints === null;
  const sections = (direction: Direction) => readSections(refusals, fields, direction, context, scope, node);
  const ingress = sections('ingress');
  const egress = sections('egress');
  if (!ingress.present && !egress.present) {
    refusals.error(
      fields.at,
      'rule must have at least one of Ingress, IngressDeny, Egress, EgressDeny',
      'an item {} in the list denies everything that nothing else allows',
    );
  }
  const flags = readDefaultDeny(refusals, fields, what);
  return {
    subject:
      context.namespace === null
        ? written
        : inNamespace(refusals, fields.keyAt('endpointSelector'), written, context.namespace, endpoints),
    node,
    ingress: effect(ingress.present, flags.ingress),
    egress: effect(egress.present, flags.egress),
    grants: [...ingress.grants, ...egress.grants],
    source: refusals.source(fields.at),
  };
}

/**
 * The subjects of a namespaced document are of its namespace. As in Cilium, that replaces what matchLabels say of
 * `k8s:io.kubernetes.pod.namespace`; any other condition on the namespace stands beside it.
 */
function inNamespace(
  refusals: Refusals,
  at: number,
  selector: LabelSelector,
  namespace: string,
  written: Value | null,
): LabelSelector {
  const label = `k8s:${namespaceLabel}`;
  const labels = written?.kind === 'map' ? written.fields.get('matchLabels')?.value : undefined;
  const replaced = labels?.kind === 'map' && labels.fields.has(label);
  let left = replaced;
  const requirements = selector.requirements.filter((item) => {
    const drop = left && namesNamespaces(item) && item.source === 'k8s';
    if (drop) left = false;
    return !drop;
  });
  const foreign = (item: LabelRequirement) => namesNamespaces(item) && !item.values.includes(namespace);
  if (requirements.some(foreign)) {
    refusals.warn(
      at,
      `endpointSelector names another namespace, so it selects nothing: a CiliumNetworkPolicy binds endpoints of its own ("${namespace}") only`,
    );
  } else if (replaced && selector.requirements.some(foreign)) {
    refusals.warn(
      at,
      `endpointSelector names another namespace; a CiliumNetworkPolicy binds endpoints of its own ("${namespace}") only`,
    );
  }
  return {
    requirements: [...requirements, { kind: 'in', source: 'k8s', key: namespaceLabel, values: [namespace] }],
  };
}

/** A condition for certain namespaces. */
function namesNamespaces(item: LabelRequirement): item is LabelRequirement & { kind: 'in' } {
  return (
    item.kind === 'in' && item.key === namespaceLabel && (item.source === 'k8s' || item.source === 'any')
  );
}

function effect(present: boolean, flag: boolean | null): SectionEffect {
  if (!present) return 'none';
  return flag === false ? 'default-allow' : 'default-deny';
}

function readDefaultDeny(
  refusals: Refusals,
  fields: Fields,
  what: string,
): { ingress: boolean | null; egress: boolean | null } {
  const value = fields.get('enableDefaultDeny');
  const flags =
    value === null ? null : readFields(refusals, value, `${what}.enableDefaultDeny`, ['ingress', 'egress']);
  if (flags === null) return { ingress: null, egress: null };
  return {
    ingress: optionalBoolean(refusals, flags, 'ingress', `${what}.enableDefaultDeny`),
    egress: optionalBoolean(refusals, flags, 'egress', `${what}.enableDefaultDeny`),
  };
}

/** Fields that change no verdict, held to the limits of Cilium. */
function checkRemarks(refusals: Refusals, fields: Fields, what: string): void {
  optionalText(refusals, fields, 'description', what);
  const labels = fields.get('labels');
  for (const item of labels === null ? [] : readList(refusals, labels, `${what}.labels`)) {
    if (item.kind === 'text') continue;
    const label = readFields(refusals, item, `${what}.labels[]`, ['key', 'value', 'source']);
    if (label !== null)
      for (const name of ['key', 'value', 'source']) optionalText(refusals, label, name, what);
  }
  const log = fields.get('log');
  const inner = log === null ? null : readFields(refusals, log, `${what}.log`, ['value']);
  const text = inner === null ? null : optionalText(refusals, inner, 'value', `${what}.log`);
  if (inner !== null && text !== null && !/^\P{C}{0,32}$/u.test(text)) {
    refusals.error(inner.keyAt('value'), `${what}.log.value has at most 32 characters, all printable`);
  }
}

interface Sections {
  /** Some section of the direction has at least one item. */
  readonly present: boolean;
  readonly grants: readonly DraftGrant[];
}

function readSections(
  refusals: Refusals,
  fields: Fields,
  direction: Direction,
  context: RuleContext,
  scope: PeerScope,
  node: boolean,
): Sections {
  const grants: DraftGrant[] = [];
  let present = false;
  for (const deny of [false, true]) {
    const name = `${direction}${deny ? 'Deny' : ''}`;
    const list = fields.get(name);
    if (list === null) continue;
    const items = readList(refusals, list, name);
    present ||= items.length > 0;
    const ports: ToPortsContext = { direction, deny, node, namespace: context.namespace };
    for (const item of items) {
      grants.push(...readItem(refusals, item, name, ports, scope, context.clusterName));
    }
  }
  return { present, grants };
}

function readItem(
  refusals: Refusals,
  item: Value,
  section: string,
  context: ToPortsContext,
  scope: PeerScope,
  clusterName: string,
): DraftGrant[] {
  const { direction, deny } = context;
  const known = [...peerFieldNames(direction, deny), 'toPorts', 'icmps', ...(deny ? [] : ['authentication'])];
  const fields = readFields(refusals, item, `${section}[]`, known);
  if (fields === null) return [];
  warnOfNulls(refusals, fields, ['toPorts', 'icmps'], `${section}[]`);
  checkAuthentication(refusals, fields);
  const peers = readPeers(refusals, fields, direction, { scope, clusterName });
  const toPorts = fields.get('toPorts');
  const icmps = fields.get('icmps');
  const blocks = toPorts === null ? [] : readToPorts(refusals, toPorts, context);
  const types = icmps === null ? [] : readIcmps(refusals, icmps, 'icmps');
  if (listLength(toPorts) > 0 && listLength(icmps) > 0) {
    refusals.error(
      fields.keyAt('icmps'),
      'The ICMPs block may only be present without ToPorts',
      'make an item of its own for icmps',
    );
  }
  const base = {
    direction,
    effect: deny ? 'deny' : 'allow',
    source: refusals.source(fields.at),
    l7: null,
    l7Source: null,
  } as const;
  if (listLength(toPorts) === 0 && listLength(icmps) === 0) {
    // An item that names neither peers nor ports selects nothing at all.
    return peers === null ? [] : [{ ...base, peers, ports: [{ kind: 'all' }] }];
  }
  const wide = peers ?? [{ kind: 'any' } as const];
  return [
    ...blocks.map((block) => ({
      ...base,
      peers: wide,
      ports: block.ports,
      l7: block.l7,
      l7Source: block.l7 === null ? null : refusals.source(block.l7.at),
      source: refusals.source(block.at),
    })),
    ...(types.length === 0 ? [] : [{ ...base, peers: wide, ports: types }]),
  ];
}

function listLength(value: Value | null): number {
  return value?.kind === 'list' ? value.items.length : 0;
}

/** Mutual authentication cannot be provided, and to leave the condition out would widen the rule. */
function checkAuthentication(refusals: Refusals, fields: Fields): void {
  const value = fields.get('authentication');
  if (value === null) return;
  const inner = readFields(refusals, value, 'authentication', ['mode']);
  const mode = inner === null ? 'disabled' : (optionalText(refusals, inner, 'mode', 'authentication') ?? '');
  if (mode !== 'disabled') {
    refusals.error(value.at, `authentication mode "${mode}" is not supported`, 'only "disabled" can be kept');
  }
}
