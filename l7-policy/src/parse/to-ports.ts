import type { PortMatch, RuleAt } from '../model/policy.ts';
import type { L7Kind } from '../types/l7-rule.ts';
import type { Direction, SlotTls } from '../types/subject-policy.ts';
import { type Fields, optionalText, readFields, readList, warnOfNulls } from './fields.ts';
import { readGrpcRules, readHttpRules, readSecret } from './http-rules.ts';
import { readKafkaRules } from './kafka-rules.ts';
import { readNameOrPattern, readServerNames } from './name-pattern.ts';
import { type PortsOfItem, readPorts } from './ports.ts';
import type { Refusals } from './refusals.ts';
import { ruleId } from './rule-id.ts';
import type { Value } from './value.ts';

/** What one toPorts item says. */
export interface ToPorts {
  readonly at: number;
  readonly ports: readonly PortMatch[];
  /** null: L4 alone. */
  readonly l7: L7Block | null;
}

export interface L7Block {
  readonly kind: L7Kind;
  readonly rules: readonly RuleAt[];
  readonly tls: SlotTls | null;
  readonly at: number;
}

export interface ToPortsContext {
  readonly direction: Direction;
  readonly deny: boolean;
  /** The rule binds nodes, where no proxy can be. */
  readonly node: boolean;
  /** null for clusterwide documents and rule lists. */
  readonly namespace: string | null;
}

const allowFields = ['ports', 'terminatingTLS', 'originatingTLS', 'serverNames', 'listener', 'rules'];

/** Reads `toPorts`. */
export function readToPorts(refusals: Refusals, value: Value, context: ToPortsContext): readonly ToPorts[] {
  return readList(refusals, value, 'toPorts').flatMap((item) => {
    const fields = readFields(refusals, item, 'toPorts[]', context.deny ? ['ports'] : allowFields);
    if (fields === null) return [];
    warnOfNulls(refusals, fields, ['rules', 'serverNames', 'listener', 'terminatingTLS'], 'toPorts[]');
    const list = fields.get('ports');
    const ports = list === null ? { ports: [], written: [] } : readPorts(refusals, list, 'toPorts[].ports');
    const l7 = context.deny ? null : readL7(refusals, fields, ports, context);
    if (list?.kind !== 'list' || list.items.length === 0) {
      refusals.warn(
        fields.at,
        'toPorts[] names no ports, so it selects no traffic',
        'use port "0" for every port',
      );
    }
    return [{ at: fields.at, ports: ports.ports, l7 }];
  });
}

function readL7(
  refusals: Refusals,
  fields: Fields,
  ports: PortsOfItem,
  context: ToPortsContext,
): L7Block | null {
  const rules = readRules(refusals, fields);
  checkPorts(refusals, fields, ports, rules, context);
  const tls = readTls(refusals, fields);
  const names = fields.get('serverNames');
  const serverNames = names === null ? [] : readServerNames(refusals, names, 'serverNames');
  if (serverNames.length > 0 && rules !== null && tls?.terminating == null) {
    refusals.error(
      fields.keyAt('serverNames'),
      'ServerNames are not allowed with L7 rules without TLS termination',
    );
  }
  const listener = readListener(refusals, fields, context);
  if (listener !== null && rules !== null) {
    refusals.error(fields.keyAt('listener'), 'Listener is not allowed with L7 rules');
  }
  const nameRules = serverNames.map(({ at, match }) => ({
    rule: Object.freeze({ kind: 'tls', id: ruleId('tls', match), match } as const),
    source: refusals.source(at),
  }));
  if (listener !== null) return { ...listener, rules: [...nameRules, ...listener.rules], tls };
  if (tls !== null || serverNames.length > 0) {
    const inner = rules === null ? [] : rules.rules;
    return { kind: 'tls', rules: [...nameRules, ...inner], tls, at: fields.keyAt('serverNames') };
  }
  return rules === null ? null : { ...rules, tls: null };
}

interface RuleBlock {
  readonly kind: L7Kind;
  readonly rules: readonly RuleAt[];
  readonly at: number;
}

/** null: no rules, or empty lists of them, which is the same. */
function readRules(refusals: Refusals, parent: Fields): RuleBlock | null {
  const value = parent.get('rules');
  if (value === null) return null;
  const fields = readFields(refusals, value, 'rules', ['http', 'grpc', 'kafka', 'dns', 'l7proto', 'l7']);
  if (fields === null) return null;
  const blocks: RuleBlock[] = [];
  const add = (kind: L7Kind, name: string, read: (refusals: Refusals, list: Value) => readonly RuleAt[]) => {
    const list = fields.get(name);
    if (list !== null) blocks.push({ kind, rules: read(refusals, list), at: fields.keyAt(name) });
  };
  add('http', 'http', readHttpRules);
  add('http', 'grpc', readGrpcRules);
  add('kafka', 'kafka', readKafkaRules);
  add('dns', 'dns', readDnsRules);
  const proxylib = readGeneric(refusals, fields);
  if (proxylib !== null) blocks.push(proxylib);
  const kinds = new Set(blocks.map((block) => block.kind));
  if (kinds.size > 1) {
    refusals.error(
      fields.at,
      'multiple L7 protocol rule types specified in single rule',
      'make one toPorts item for each',
    );
  }
  const [first] = blocks;
  if (first === undefined) return null;
  const rules = blocks.flatMap((block) => block.rules);
  if (rules.length === 0) {
    refusals.warn(
      first.at,
      'the list of L7 rules is empty: the ports are open on L4',
      'remove it, or write a rule',
    );
    return null;
  }
  return { kind: first.kind, rules, at: first.at };
}

function readDnsRules(refusals: Refusals, value: Value): readonly RuleAt[] {
  return readList(refusals, value, 'rules.dns').flatMap((item) => {
    const match = readNameOrPattern(refusals, item, 'rules.dns[]');
    if (match === null) return [];
    return [
      {
        rule: Object.freeze({ kind: 'dns', id: ruleId('dns', match), match } as const),
        source: refusals.source(item.at),
      },
    ];
  });
}

function readGeneric(refusals: Refusals, fields: Fields): RuleBlock | null {
  const protocol = optionalText(refusals, fields, 'l7proto', 'rules') ?? '';
  const list = fields.get('l7');
  if (protocol === '') {
    if (list !== null) {
      refusals.error(fields.keyAt('l7'), "'l7' may only be specified when a 'l7proto' is also specified");
    }
    return null;
  }
  const at = fields.keyAt('l7proto');
  refusals.warn(at, `no proxy serves l7proto "${protocol}": these connections are denied`);
  const items = list === null ? [] : readList(refusals, list, 'rules.l7');
  const contents = items.map((item) => {
    if (item.kind === 'map') {
      return [...item.fields].map(
        ([name, field]) => [name, 'text' in field.value ? field.value.text : ''] as const,
      );
    }
    refusals.error(item.at, 'rules.l7[] must be a map');
    return [];
  });
  const rules = (contents.length === 0 ? [[]] : contents).map((content) => ({
    rule: Object.freeze({
      kind: 'generic',
      id: ruleId('generic', [protocol, content]),
      protocol,
      fields: content,
    } as const),
    source: refusals.source(at),
  }));
  return { kind: 'generic', rules, at };
}

function checkPorts(
  refusals: Refusals,
  fields: Fields,
  { written }: PortsOfItem,
  rules: RuleBlock | null,
  { direction, node }: ToPortsContext,
): void {
  if (rules === null) return;
  if (node && (rules.kind !== 'dns' || direction === 'ingress')) {
    refusals.error(
      rules.at,
      `L7 rules (${rules.kind}) are not supported on host ${direction} (nodeSelector) yet`,
    );
  }
  if (rules.kind === 'dns') {
    if (direction === 'ingress') refusals.error(rules.at, 'DNS rules are not allowed on ingress');
    if (written.length === 0) refusals.error(fields.at, 'port 53 must be specified for DNS rules');
  }
  for (const port of written) {
    if (rules.kind === 'dns') {
      if (port.range) refusals.error(port.at, 'DNS rules do not support port ranges');
    } else if (port.protocol !== 'TCP') {
      refusals.error(
        port.at,
        `L7 rules can only apply to TCP (not ${port.protocol}) except for DNS rules`,
        port.protocol === 'ANY' ? 'add "protocol: TCP"' : undefined,
      );
    }
    if (port.zero) refusals.error(port.at, 'L7 rules can not be used when a port is 0');
  }
}

function readTls(refusals: Refusals, fields: Fields): SlotTls | null {
  const read = (name: string) => {
    const value = fields.get(name);
    if (value === null) return null;
    const context = readFields(refusals, value, name, ['secret', 'trustedCA', 'certificate', 'privateKey']);
    if (context === null) return null;
    for (const key of ['trustedCA', 'certificate', 'privateKey']) optionalText(refusals, context, key, name);
    if (context.get('secret') === null) {
      refusals.error(context.at, `${name} has no secret`);
      return null;
    }
    return readSecret(refusals, context.get('secret'), `${name}.secret`);
  };
  const terminating = read('terminatingTLS');
  const originating = read('originatingTLS');
  return terminating === null && originating === null ? null : { terminating, originating };
}

function readListener(refusals: Refusals, fields: Fields, context: ToPortsContext): L7Block | null {
  const value = fields.get('listener');
  if (value === null) return null;
  const at = fields.keyAt('listener');
  const listener = readFields(refusals, value, 'listener', ['envoyConfig', 'name', 'priority']);
  if (listener === null) return null;
  const name = optionalText(refusals, listener, 'name', 'listener') ?? '';
  if (name === '') refusals.error(listener.at, 'listener has no name');
  const config = listener.get('envoyConfig');
  const resource =
    config === null ? null : readFields(refusals, config, 'listener.envoyConfig', ['kind', 'name']);
  const resourceName =
    resource === null ? '' : (optionalText(refusals, resource, 'name', 'listener.envoyConfig') ?? '');
  if (resourceName === '') refusals.error(listener.at, 'listener.envoyConfig has no name');
  const written = resource === null ? null : optionalText(refusals, resource, 'kind', 'listener.envoyConfig');
  const resourceKind =
    written ?? (context.namespace === null ? 'CiliumClusterwideEnvoyConfig' : 'CiliumEnvoyConfig');
  if (resourceKind !== 'CiliumEnvoyConfig' && resourceKind !== 'CiliumClusterwideEnvoyConfig') {
    refusals.error(
      config?.at ?? at,
      `listener.envoyConfig.kind "${resourceKind}" is unknown`,
      'CiliumEnvoyConfig or CiliumClusterwideEnvoyConfig',
    );
  }
  if (context.direction === 'ingress') refusals.error(at, `Listener is not allowed on ingress (${name})`);
  if (context.namespace === null && resourceKind === 'CiliumEnvoyConfig') {
    refusals.error(
      at,
      `Listener "${name}" in CCNP can not use Kind CiliumEnvoyConfig`,
      'use CiliumClusterwideEnvoyConfig',
    );
  }
  const content = { resourceKind, resourceName, listener: name, priority: readPriority(refusals, listener) };
  const rule = Object.freeze({ kind: 'listener', id: ruleId('listener', content), ...content } as const);
  return { kind: 'listener', rules: [{ rule, source: refusals.source(at) }], tls: null, at };
}

/** From 1, the highest, to 100; 0 is not set, which comes last. */
function readPriority(refusals: Refusals, listener: Fields): number {
  const value = listener.get('priority');
  if (value === null) return 0;
  if (value.kind === 'number' && Number.isInteger(value.value) && value.value >= 1 && value.value <= 100) {
    return value.value;
  }
  refusals.error(value.at, 'listener.priority must be a number from 1 to 100');
  return 0;
}
