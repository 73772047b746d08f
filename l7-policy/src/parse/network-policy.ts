import type { LabelSelector, Peer, PortMatch } from '../model/policy.ts';
import type { Direction } from '../types/subject-policy.ts';
import type { DraftGrant, DraftRule } from './build-rule.ts';
import { readIpBlock } from './cidr.ts';
import { type Fields, optionalText, readFields, readList } from './fields.ts';
import { namespaceLabel, namespaceLabelsPrefix, readSelector } from './label-selector.ts';
import { isServiceName, protocolNumbers } from './ports.ts';
import type { Refusals } from './refusals.ts';
import type { Value } from './value.ts';

/** Labels of Kubernetes have no sources in their keys. */
const kubernetesLabels = { defaultSource: 'k8s', sources: false };

/** Reads the `spec` of a Kubernetes NetworkPolicy (networking.k8s.io/v1). null: it was refused. */
export function readNetworkPolicy(refusals: Refusals, value: Value, namespace: string): DraftRule | null {
  const fields = readFields(refusals, value, 'spec', ['podSelector', 'policyTypes', 'ingress', 'egress']);
  if (fields === null) return null;
  const selector = fields.get('podSelector');
  const types = readTypes(refusals, fields);
  const ingress = readItems(refusals, fields, 'ingress', namespace);
  const egress = readItems(refusals, fields, 'egress', namespace);
  const pods =
    selector === null
      ? { requirements: [] }
      : readSelector(refusals, selector, 'podSelector', kubernetesLabels);
  return {
    subject: { requirements: [...pods.requirements, inNamespace(namespace)] },
    node: false,
    ingress: types.has('Ingress') || ingress.length > 0 ? 'default-deny' : 'none',
    egress: types.has('Egress') || egress.length > 0 ? 'default-deny' : 'none',
    grants: [...ingress, ...egress],
    source: refusals.source(fields.at),
  };
}

function inNamespace(namespace: string) {
  return { kind: 'in', source: 'k8s', key: namespaceLabel, values: [namespace] } as const;
}

/**
 * Without policyTypes a policy is about ingress, and about egress where it has egress rules (defaults of the
 * Kubernetes API). Rules of a direction that policyTypes leave out restrict it all the same, as in Cilium.
 */
function readTypes(refusals: Refusals, fields: Fields): ReadonlySet<string> {
  const list = fields.get('policyTypes');
  const types = list === null ? [] : readList(refusals, list, 'policyTypes');
  if (types.length === 0) return new Set(['Ingress']);
  const names = new Set<string>();
  for (const item of types) {
    if (item.kind === 'text' && (item.text === 'Ingress' || item.text === 'Egress')) names.add(item.text);
    else refusals.error(item.at, 'policyTypes[] must be Ingress or Egress');
  }
  for (const [type, section] of [
    ['Ingress', 'ingress'],
    ['Egress', 'egress'],
  ] as const) {
    const rules = fields.get(section);
    if (names.has(type) || rules?.kind !== 'list' || rules.items.length === 0) continue;
    refusals.warn(
      fields.keyAt(section),
      `policyTypes leave out ${type}, but there are ${section} rules: they restrict ${section} all the same, as in Cilium`,
      `add ${type} to policyTypes, or remove the rules`,
    );
  }
  return names;
}

function readItems(
  refusals: Refusals,
  fields: Fields,
  direction: Direction,
  namespace: string,
): DraftGrant[] {
  const list = fields.get(direction);
  if (list === null) return [];
  const peerField = direction === 'ingress' ? 'from' : 'to';
  return readList(refusals, list, direction).flatMap((item) => {
    const entry = readFields(refusals, item, `${direction}[]`, [peerField, 'ports']);
    if (entry === null) return [];
    const peersValue = entry.get(peerField);
    const peerItems = peersValue === null ? [] : readList(refusals, peersValue, peerField);
    const portsValue = entry.get('ports');
    const portItems = portsValue === null ? [] : readList(refusals, portsValue, 'ports');
    return [
      {
        direction,
        effect: 'allow',
        peers:
          peerItems.length === 0
            ? [{ kind: 'any' }]
            : peerItems.flatMap((peer) => readPeer(refusals, peer, `${peerField}[]`, namespace)),
        ports:
          portItems.length === 0 ? [{ kind: 'all' }] : portItems.flatMap((port) => readPort(refusals, port)),
        l7: null,
        l7Source: null,
        source: refusals.source(item.at),
      } as const,
    ];
  });
}

function readPeer(refusals: Refusals, value: Value, what: string, namespace: string): Peer[] {
  const fields = readFields(refusals, value, what, ['podSelector', 'namespaceSelector', 'ipBlock']);
  if (fields === null) return [];
  const block = fields.get('ipBlock');
  const pods = fields.get('podSelector');
  const namespaces = fields.get('namespaceSelector');
  if (block !== null) {
    if (pods !== null || namespaces !== null) {
      refusals.error(
        fields.keyAt('ipBlock'),
        `${what}: ipBlock cannot stand beside podSelector or namespaceSelector`,
      );
    }
    const peer = readIpBlock(refusals, block, `${what}.ipBlock`);
    return peer === null ? [] : [peer];
  }
  if (pods === null && namespaces === null) {
    refusals.error(fields.at, `${what} needs podSelector, namespaceSelector or ipBlock`);
    return [];
  }
  const selected =
    pods === null ? [] : readSelector(refusals, pods, `${what}.podSelector`, kubernetesLabels).requirements;
  return [
    {
      kind: 'labels',
      selector: { requirements: [...selected, ...namespacesOf(refusals, namespaces, what, namespace)] },
    },
  ];
}

function namespacesOf(
  refusals: Refusals,
  value: Value | null,
  what: string,
  namespace: string,
): LabelSelector['requirements'] {
  if (value === null) return [inNamespace(namespace)];
  const { requirements } = readSelector(refusals, value, `${what}.namespaceSelector`, {
    ...kubernetesLabels,
    keyPrefix: namespaceLabelsPrefix,
  });
  // Any namespace, but a pod of one: nothing outside the cluster has the label.
  return [...requirements, { kind: 'exists', source: 'k8s', key: namespaceLabel }];
}

function readPort(refusals: Refusals, value: Value): PortMatch[] {
  const fields = readFields(refusals, value, 'ports[]', ['port', 'endPort', 'protocol']);
  if (fields === null) return [];
  const name = optionalText(refusals, fields, 'protocol', 'ports[]') ?? 'TCP';
  if (name !== 'TCP' && name !== 'UDP' && name !== 'SCTP') {
    refusals.error(fields.keyAt('protocol'), `invalid protocol "${name}"`, 'use TCP, UDP or SCTP');
    return [];
  }
  const protocols = [protocolNumbers[name]];
  const port = fields.get('port');
  const end = fields.get('endPort');
  if (port === null) {
    if (end !== null) refusals.error(end.at, 'endPort needs a port');
    return [{ kind: 'range', protocols, low: 0, high: 65535 }];
  }
  if (port.kind === 'number') {
    const low = validPort(refusals, port);
    const high = end === null ? low : end.kind === 'number' ? validPort(refusals, end) : null;
    if (low === null || high === null || high < low) {
      refusals.error(
        end?.at ?? port.at,
        'port and endPort must be numbers from 1 to 65535, endPort not the lower',
      );
      return [];
    }
    return [{ kind: 'range', protocols, low, high }];
  }
  if (port.kind === 'text' && isServiceName(port.text) && end === null) {
    return [{ kind: 'named', protocols, name: port.text.toLowerCase() }];
  }
  refusals.error(port.at, 'ports[].port must be a number from 1 to 65535, or a port name without endPort');
  return [];
}

function validPort(refusals: Refusals, value: { at: number; value: number }): number | null {
  if (Number.isInteger(value.value) && value.value >= 1 && value.value <= 65535) return value.value;
  refusals.error(value.at, `unable to parse port ${value.value}`);
  return null;
}
