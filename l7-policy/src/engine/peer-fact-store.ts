import { RE2JS } from 're2js';
import type { CidrGroupDocument, FqdnMatch, ServiceMatch } from '../model/policy.ts';
import { containsPrefix, type Prefix, type PrefixText, parseAddress } from '../net/prefix.ts';
import { namespaceLabel } from '../parse/label-selector.ts';
import { normalizeName } from '../parse/name-pattern.ts';
import type { NamedPort, ServiceFact } from '../types/fact.ts';
import { portsNamed } from './direction-rules.ts';
import { parseLabel } from './identity-table.ts';
import type { GroupMatch, PeerFacts } from './peer-facts.ts';
import { matchesLabels } from './selector-cache.ts';

/** The facts behind `PeerFacts`, as they come in. The caller rechecks selectors after each change. */
export interface PeerFactStore extends PeerFacts {
  setGroup(group: CidrGroupDocument): void;
  removeGroup(group: CidrGroupDocument): void;
  /** The prefixes by which addresses can differ for the peer. */
  groupPrefixes(group: GroupMatch): readonly Prefix[];
  setService(service: ServiceFact): void;
  removeService(namespace: string, name: string): void;
  /** Prefixes of the backends of all services that a rule could name. */
  serviceAddresses(match: ServiceMatch): readonly Prefix[];
  /** Gives the addresses the name had before. */
  setName(name: string, addresses: readonly PrefixText[]): readonly PrefixText[];
  /** Names that have resolved to something. */
  names(): Iterable<string>;
  addressesOf(name: string): readonly PrefixText[];
  nameMatches(match: FqdnMatch, name: string): boolean;
  /** true when the set of ports known under some name may have changed. */
  setNamedPorts(endpoint: string, index: number, ports: readonly NamedPort[]): readonly string[];
  peerPorts(name: string, protocol: number): Iterable<number>;
}

export function createPeerFactStore(): PeerFactStore {
  const groups = new Map<string, CidrGroupDocument>();
  const services = new Map<string, ServiceFact>();
  const names = new Map<string, ReadonlySet<PrefixText>>();
  const namesOf = new Map<PrefixText, Set<string>>();
  /** Named ports by identity index, then by endpoint. */
  const ports = new Map<number, Map<string, readonly NamedPort[]>>();
  const regexes = new Map<string, RE2JS>();

  const nameMatches = (match: FqdnMatch, name: string): boolean => {
    if (match.kind === 'name') return match.name === name;
    let regex = regexes.get(match.regex);
    if (regex === undefined) {
      regex = RE2JS.compile(match.regex);
      regexes.set(match.regex, regex);
    }
    return regex.matches(name);
  };

  const servicesOf = (match: ServiceMatch): readonly ServiceFact[] =>
    [...services.values()].filter(
      (service) =>
        (match.namespace === null || service.namespace === match.namespace) &&
        (match.kind === 'name'
          ? service.name === match.name
          : matchesLabels(
              match.selector.requirements,
              Object.entries(service.labels).map(([key, value]) => ({ source: 'k8s', key, value })),
            )),
    );

  /** Where labels are asked for, every group can count: what a prefix is in besides adds to its labels. */
  const groupsNamed = (group: GroupMatch): readonly CidrGroupDocument[] => {
    if (!('name' in group)) return [...groups.values()];
    const found = groups.get(group.name);
    return found === undefined ? [] : [found];
  };

  return {
    nameMatches,
    setGroup: (group) => void groups.set(group.name, group),
    removeGroup: (group) => void groups.delete(group.name),
    groupPrefixes: (group) => groupsNamed(group).flatMap(({ prefixes }) => prefixes),
    inGroups(group, prefix) {
      const around = groupsNamed(group).filter(({ prefixes }) =>
        prefixes.some((outer) => containsPrefix(outer, prefix)),
      );
      if (around.length === 0) return false;
      const labels = around.flatMap((item) => item.labels.map(parseLabel));
      return 'name' in group || matchesLabels(group.labels.requirements, labels);
    },
    setService: (service) => void services.set(`${service.namespace}/${service.name}`, service),
    removeService: (namespace, name) => void services.delete(`${namespace}/${name}`),
    serviceAddresses: (match) =>
      servicesOf(match)
        .filter((service) => service.selector === null)
        .flatMap((service) => service.addresses.map(parseAddress).filter((prefix) => prefix !== null)),
    servesAs: (match, row) =>
      servicesOf(match).some((service) =>
        service.selector === null
          ? row.prefixes.some((prefix) =>
              service.addresses.some((address) => parseAddress(address)?.text === prefix.text),
            )
          : row.parsed.some((label) => label.key === namespaceLabel && label.value === service.namespace) &&
            Object.entries(service.selector).every(([key, value]) =>
              row.parsed.some(
                (label) => label.source === 'k8s' && label.key === key && label.value === value,
              ),
            ),
      ),
    setName(name, addresses) {
      const key = normalizeName(name);
      const before = [...(names.get(key) ?? [])];
      for (const address of before) {
        const list = namesOf.get(address);
        list?.delete(key);
        if (list?.size === 0) namesOf.delete(address);
      }
      if (addresses.length === 0) names.delete(key);
      else names.set(key, new Set(addresses));
      for (const address of addresses) {
        const list = namesOf.get(address) ?? new Set();
        list.add(key);
        namesOf.set(address, list);
      }
      return before;
    },
    resolvesTo(match, address) {
      for (const name of namesOf.get(address) ?? []) if (nameMatches(match, name)) return true;
      return false;
    },
    names: () => names.keys(),
    addressesOf: (name) => [...(names.get(name) ?? [])],
    setNamedPorts(endpoint, index, list) {
      const known = ports.get(index);
      const before = known?.get(endpoint) ?? [];
      if (list.length > 0) ports.set(index, (known ?? new Map()).set(endpoint, list));
      else if (known?.delete(endpoint) === true && known.size === 0) ports.delete(index);
      return [...new Set([...before, ...list].map((port) => port.name.toLowerCase()))];
    },
    peerPorts(name, protocol) {
      const numbers = new Set<number>();
      for (const byEndpoint of ports.values()) {
        for (const list of byEndpoint.values()) {
          for (const number of portsNamed(list, name, protocol)) numbers.add(number);
        }
      }
      return [...numbers].sort((a, b) => a - b);
    },
    hasNamedPort(index, { name, protocol, port }) {
      for (const list of ports.get(index)?.values() ?? []) {
        if (portsNamed(list, name, protocol).includes(port)) return true;
      }
      return false;
    },
  };
}
