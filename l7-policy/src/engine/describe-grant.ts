import type { LabelRequirement, LabelSelector, Peer, PortMatch } from '../model/policy.ts';
import { namespaceLabel, namespaceLabelsPrefix } from '../parse/label-selector.ts';

const protocolNames: Readonly<Record<number, string>> = {
  1: 'ICMP',
  6: 'TCP',
  17: 'UDP',
  58: 'ICMPv6',
  132: 'SCTP',
};

/** Longest list of peers or ports in a sentence; the rest is counted. */
const maxItems = 4;

/** Peers as words for people: `app=web,namespace=shop or world`. */
export function describePeers(peers: readonly Peer[]): string {
  return peers.length === 0 ? 'nobody' : some(peers.map(describePeer), ' or ');
}

/** Ports as words for people: `80/TCP, 8000-8999/UDP`. */
export function describePorts(ports: readonly PortMatch[]): string {
  return ports.length === 0 ? 'no port' : some(ports.map(describePort), ', ');
}

function some(items: readonly string[], joint: string): string {
  const all = [...new Set(items)];
  const shown = all.length > maxItems ? [...all.slice(0, maxItems), `${all.length - maxItems} more`] : all;
  return shown.join(joint);
}

function describePeer(peer: Peer): string {
  switch (peer.kind) {
    case 'any':
      return 'anybody';
    case 'labels':
      return describeSelector(peer.selector);
    case 'nodes':
      return `nodes ${describeSelector(peer.selector)}`;
    case 'cidr':
      return `${peer.prefix.text}${describeExcept(peer.except)}`;
    case 'cidr-group': {
      const group =
        'name' in peer.group
          ? `CIDR group ${peer.group.name}`
          : `CIDR groups ${describeSelector(peer.group.labels)}`;
      return `${group}${describeExcept(peer.except)}`;
    }
    case 'fqdn':
      return peer.match.kind === 'name' ? peer.match.name : peer.match.pattern;
    case 'service':
      return peer.service.kind === 'name'
        ? `service ${peer.service.namespace ?? '*'}/${peer.service.name}`
        : `services ${describeSelector(peer.service.selector)}`;
  }
}

function describeExcept(except: readonly { readonly text: string }[]): string {
  return except.length === 0
    ? ''
    : ` except ${some(
        except.map(({ text }) => text),
        ', ',
      )}`;
}

/** Conditions on labels as words for people: `app=web,!old`. */
export function describeSelector({ requirements }: LabelSelector): string {
  return requirements.length === 0 ? 'anybody' : requirements.map(describeRequirement).join(',');
}

function describeRequirement(requirement: LabelRequirement): string {
  const key = describeKey(requirement);
  switch (requirement.kind) {
    case 'in':
      return requirement.values.length === 1
        ? `${key}=${requirement.values[0] ?? ''}`
        : `${key} in (${requirement.values.join(' ')})`;
    case 'not-in':
      return `${key} not in (${requirement.values.join(' ')})`;
    case 'exists':
      return key;
    case 'absent':
      return `!${key}`;
  }
}

function describeKey({ source, key }: LabelRequirement): string {
  if (key === namespaceLabel) return 'namespace';
  if (key.startsWith(namespaceLabelsPrefix)) return `namespace.${key.slice(namespaceLabelsPrefix.length)}`;
  return source === 'any' || source === 'k8s' ? key : `${source}:${key}`;
}

function describePort(port: PortMatch): string {
  if (port.kind === 'all') return 'every port';
  const protocols = port.protocols.map((number) => protocolNames[number] ?? String(number)).join(',');
  if (port.kind === 'named') return `${port.name}/${protocols}`;
  if (port.low === 0 && port.high === 65535) return `every port of ${protocols}`;
  return `${port.low}${port.high === port.low ? '' : `-${port.high}`}/${protocols}`;
}
