import { createPatternMatcher } from '../judge/match-patterns.ts';
import type { Document, DocumentId, Rule } from '../model/policy.ts';
import { type Prefix, type PrefixText, parseAddress, parsePrefix } from '../net/prefix.ts';
import { createFileParser } from '../parse/file-parser.ts';
import { normalizeName } from '../parse/name-pattern.ts';
import type { EndpointState, EngineState, EngineUpdate } from '../types/delta.ts';
import type { Engine, EngineOptions } from '../types/engine.ts';
import type { EndpointFact, EngineChange, Labels, NamedPort } from '../types/fact.ts';
import { type Identity, reservedIdentities } from '../types/identity.ts';
import type { RuleId } from '../types/l7-rule.ts';
import type { Problem } from '../types/problem.ts';
import type { SourceRef } from '../types/source-ref.ts';
import { createClassRegistry } from './class-registry.ts';
import { createConflictIndex } from './conflict-index.ts';
import { createDirectionRegistry } from './direction-registry.ts';
import { createDocumentStore, type FileChange } from './document-store.ts';
import { explainFlow } from './explain.ts';
import { createGrantNumbers } from './grant-numbers.ts';
import { canonicalLabels, createIdentityTable, type IdentityRow, reservedNumber } from './identity-table.ts';
import { createIpcache } from './ipcache.ts';
import { createLabelFilter } from './label-filter.ts';
import { createLocalAllocator } from './local-allocator.ts';
import { createPeerFactStore } from './peer-fact-store.ts';
import { createPrefixRegistry } from './prefix-registry.ts';
import { createSelectorCache } from './selector-cache.ts';
import { createSetRegistry } from './set-registry.ts';
import { createSlotRegistry } from './slot-registry.ts';
import { type Subject, selectsSubject } from './subject.ts';
import { createSubjectRegistry } from './subject-registry.ts';
import { createTableRegistry } from './table-registry.ts';

/** What a cluster without further settings does. */
export function defaultEngineOptions(): EngineOptions {
  return {
    enforcement: 'default',
    clusterName: 'default',
    nodeSelectorLabels: false,
    kafkaFilter: '',
    allowLocalhost: 'always',
    identityLabels: null,
    allocator: createLocalAllocator(),
  };
}

interface KnownEndpoint {
  readonly fact: EndpointFact;
  readonly row: IdentityRow;
  readonly addresses: readonly PrefixText[];
  /** null: no subject of this node. */
  readonly subject: Subject | null;
}

/** Builds an engine that knows nothing but the reserved identities. */
export function createEngine(given: Partial<EngineOptions> = {}): Engine {
  const options: EngineOptions = { ...defaultEngineOptions(), ...given };
  const table = createIdentityTable();
  const facts = createPeerFactStore();
  const selectors = createSelectorCache(() => table.rows(), facts);
  const sets = createSetRegistry();
  const slots = createSlotRegistry();
  const classes = createClassRegistry();
  const ipcache = createIpcache();
  const filter = createLabelFilter(options.identityLabels);
  const grants = createGrantNumbers();
  const directions = createDirectionRegistry({
    table,
    selectors,
    facts,
    sets,
    grants,
    tables: createTableRegistry(),
    allowLocalhost: options.allowLocalhost === 'always',
  });
  const subjects = createSubjectRegistry({ directions, grants, enforcement: options.enforcement });
  const conflicts = createConflictIndex((a, b) =>
    [...subjects.subjects().values()].some(
      ({ row }) => selectsSubject(a, row.parsed) && selectsSubject(b, row.parsed),
    ),
  );
  const parse = createFileParser(options);
  const store = createDocumentStore(conflicts);

  const patterns = createPatternMatcher();
  const inForce = new Map<
    DocumentId,
    { readonly document: Document; readonly rules: ReadonlyMap<string, Rule[]> }
  >();
  const endpoints = new Map<string, KnownEndpoint>();
  const announced = new Set<Identity>();
  const elsewhere = new Set<PrefixText>();
  const localPrefixes = new Map<PrefixText, IdentityRow>();
  /** Rows that nobody needs, and whether the allocator gave their number. */
  const idle = new Map<IdentityRow, boolean>();
  const doomed: IdentityRow[] = [];
  let problems: Problem[] = [];
  const touchedEndpoints = new Set<string>();
  const publishedEndpoints = new Map<string, EndpointState>();

  // ---- identities

  const hold = (number: Identity, labels: Labels): IdentityRow => {
    let row = table.get(number);
    if (row === undefined) {
      row = table.add(number, labels);
      selectors.addRow(row);
    }
    row.holders += 1;
    return row;
  };

  /** The row goes at the end of the update, unless somebody needs it again until then. */
  const letGo = (row: IdentityRow, allocated: boolean) => {
    row.holders -= 1;
    if (row.holders === 0) idle.set(row, allocated);
  };

  const dropIdle = () => {
    for (const [row, allocated] of idle) {
      if (row.holders > 0) continue;
      selectors.removeRow(row);
      table.forget(row);
      doomed.push(row);
      if (allocated) options.allocator.release(row.identity);
    }
    idle.clear();
  };

  /** Gives an identity other labels: for the local node, whose number stands whatever its labels. */
  const relabel = (number: Identity, labels: Labels) => {
    const old = table.get(number);
    if (old === undefined || old.labels.join() === labels.join()) return;
    selectors.removeRow(old);
    doomed.push(old);
    table.forget(old);
    idle.delete(old);
    const row = table.add(number, labels);
    row.holders = old.holders;
    if (row.holders === 0) idle.set(row, false);
    selectors.addRow(row);
  };

  const prefixes = createPrefixRegistry(facts, {
    begin(prefix: Prefix) {
      const world = prefix.family === 4 ? 'world-ipv4' : 'world-ipv6';
      const labels = canonicalLabels([`cidr:${prefix.text}`, `reserved:${world}`]);
      const row = hold(options.allocator.allocate(labels), labels);
      localPrefixes.set(prefix.text, row);
      ipcache.set('local-prefix', prefix.text, '', row.identity);
    },
    end(prefix: Prefix) {
      const row = localPrefixes.get(prefix.text);
      if (row === undefined) return;
      localPrefixes.delete(prefix.text);
      ipcache.remove('local-prefix', prefix.text, '');
      letGo(row, true);
    },
  });

  for (const [name, number] of Object.entries(reservedIdentities)) {
    const also = name === 'kube-apiserver' ? ['reserved:remote-node'] : [];
    hold(number, canonicalLabels([`reserved:${name}`, ...also]));
  }
  for (const [text, number] of [
    ['0.0.0.0/0', reservedIdentities['world-ipv4']],
    ['::/0', reservedIdentities['world-ipv6']],
  ] as const) {
    const prefix = parsePrefix(text);
    if (prefix !== null) ipcache.set('world', prefix.text, '', number);
  }

  // ---- endpoints

  const setNamedPorts = (id: string, row: IdentityRow, ports: readonly NamedPort[]) => {
    const names = facts.setNamedPorts(id, row.index, ports);
    if (names.length === 0) return;
    selectors.recheckRow(row, (selector) => selector.port !== null && names.includes(selector.port.name));
    for (const name of names) subjects.portsChanged(name);
  };

  const setEndpoint = (fact: EndpointFact) => {
    const before = endpoints.get(fact.id);
    const kept = canonicalLabels(filter(fact.labels));
    const labels = kept.length === 0 ? ['reserved:init'] : kept;
    const reserved = reservedNumber(labels);
    if (reserved !== null) relabel(reserved, labels);
    const row = hold(reserved ?? options.allocator.allocate(labels), labels);
    const subject = fact.local ? subjects.join(fact.id, row, fact.namedPorts) : null;
    const addresses = fact.addresses.flatMap((text) => {
      const prefix = parseAddress(text) ?? parsePrefix(text);
      return prefix === null ? [] : [prefix.text];
    });
    for (const address of addresses) ipcache.set('endpoint', address, fact.id, row.identity);
    endpoints.set(fact.id, { fact, row, addresses, subject });
    if (before !== undefined) forgetEndpoint(fact.id, before, new Set(addresses), row, subject);
    setNamedPorts(fact.id, row, fact.namedPorts);
    touchedEndpoints.add(fact.id);
  };

  const forgetEndpoint = (
    id: string,
    before: KnownEndpoint,
    keep: ReadonlySet<PrefixText>,
    row: IdentityRow | null,
    subject: Subject | null,
  ) => {
    for (const address of before.addresses) if (!keep.has(address)) ipcache.remove('endpoint', address, id);
    if (before.row !== row) setNamedPorts(id, before.row, []);
    if (before.subject !== null && before.subject !== subject) subjects.leave(id, before.subject);
    letGo(before.row, reservedNumber(before.row.labels) === null);
  };

  const removeEndpoint = (id: string) => {
    const before = endpoints.get(id);
    if (before === undefined) return;
    endpoints.delete(id);
    forgetEndpoint(id, before, new Set(), null, null);
    touchedEndpoints.add(id);
  };

  // ---- documents

  const applyFile = ({ changes, problems: found }: FileChange) => {
    problems = problems.concat(found);
    for (const { before, after } of changes) {
      if (after !== null) prefixes.addDocument(after);
      if (before !== null) prefixes.removeDocument(before);
      if (after !== null) slots.addDocument(after);
      if (before !== null) slots.removeDocument(before);
      if (before?.kind === 'cidr-group' || after?.kind === 'cidr-group') {
        if (before?.kind === 'cidr-group') facts.removeGroup(before);
        if (after?.kind === 'cidr-group') facts.setGroup(after);
        prefixes.refresh('cidr-group');
        selectors.recheckSelectors((selector) => selector.peer.kind === 'cidr-group');
      }
      replaceRules(before, after);
    }
  };

  /** Rules that say the same as before stay as they are: only slots' content or places in files changed. */
  const replaceRules = (before: Document | null, after: Document | null) => {
    const id = (after ?? before)?.id;
    if (id === undefined) return;
    const old = new Map([...(inForce.get(id)?.rules ?? [])].map(([key, list]) => [key, [...list]]));
    const now = new Map<string, Rule[]>();
    for (const rule of after?.kind === 'policy' ? after.rules : []) {
      const kept = old.get(rule.key)?.pop();
      if (kept === undefined) subjects.addRule(rule);
      now.set(rule.key, [...(now.get(rule.key) ?? []), kept ?? rule]);
    }
    for (const list of old.values()) for (const rule of list) subjects.removeRule(rule);
    if (after === null) inForce.delete(id);
    else inForce.set(id, { document: after, rules: now });
  };

  // ---- changes

  const applyChange = (change: EngineChange) => {
    switch (change.kind) {
      case 'set-file':
        return applyFile(store.setFile(change.file, parse(change.file, change.text)));
      case 'set-parsed-file':
        return applyFile(store.setFile(change.file, change.parsed));
      case 'remove-file':
        return applyFile(store.removeFile(change.file));
      case 'set-endpoint':
        return setEndpoint(change.endpoint);
      case 'remove-endpoint':
        return removeEndpoint(change.id);
      case 'set-identity': {
        const labels = canonicalLabels(change.labels);
        if (announced.has(change.identity)) return relabel(change.identity, labels);
        announced.add(change.identity);
        relabel(change.identity, labels);
        hold(change.identity, labels);
        return;
      }
      case 'remove-identity': {
        const row = table.get(change.identity);
        if (announced.delete(change.identity) && row !== undefined) letGo(row, false);
        return;
      }
      case 'set-address':
      case 'remove-address': {
        const prefix = parsePrefix(change.prefix) ?? parseAddress(change.prefix);
        if (prefix === null) return;
        if (change.kind === 'set-address') {
          elsewhere.add(prefix.text);
          ipcache.set('elsewhere', prefix.text, '', change.identity);
        } else if (elsewhere.delete(prefix.text)) ipcache.remove('elsewhere', prefix.text, '');
        return;
      }
      case 'set-service':
      case 'remove-service':
        if (change.kind === 'set-service') facts.setService(change.service);
        else facts.removeService(change.namespace, change.name);
        prefixes.refresh('service');
        selectors.recheckSelectors((selector) => selector.peer.kind === 'service');
        return;
      case 'set-dns':
        return setName(change.name, change.addresses);
      case 'set-secret':
        return slots.setSecret(`${change.namespace}/${change.name}`, change.value);
    }
  };

  const setName = (name: string, texts: readonly string[]) => {
    const found = texts.map(parseAddress).filter((prefix) => prefix !== null);
    const addresses = [...new Set(found.map((prefix) => prefix.text))];
    const before = facts.setName(name, addresses);
    prefixes.renameAddresses(normalizeName(name), before, addresses);
    for (const address of new Set([...before, ...addresses])) {
      const row = localPrefixes.get(address);
      if (row !== undefined) selectors.recheckRow(row, (selector) => selector.peer.kind === 'fqdn');
    }
  };

  const endpointState = ({ row, subject, fact }: KnownEndpoint): EndpointState | null =>
    subject === null
      ? null
      : Object.freeze({
          id: fact.id,
          identity: row.identity,
          subject: subject.key,
          addresses: fact.addresses,
        });

  const takeEndpointChanges = (): EngineUpdate['delta']['endpoints'] => {
    const set: EndpointState[] = [];
    const removed: string[] = [];
    for (const id of touchedEndpoints) {
      const known = endpoints.get(id);
      const state = known === undefined ? null : endpointState(known);
      const before = publishedEndpoints.get(id);
      if (state === null) {
        if (publishedEndpoints.delete(id)) removed.push(id);
      } else if (before === undefined || !sameEndpoint(before, state)) {
        publishedEndpoints.set(id, state);
        set.push(state);
      }
    }
    touchedEndpoints.clear();
    return { set, removed };
  };

  // Made when they are asked for, and kept until something changes.
  let snapshot: EngineState | null = null;
  let sources: ReadonlyMap<RuleId, readonly SourceRef[]> | null = null;

  const finish = (): EngineUpdate => {
    snapshot = null;
    sources = null;
    dropIdle();
    const compiled = subjects.takeChanges();
    classes.recheck(compiled.compiled, compiled.gone, subjects.subjects().values());
    const setChanges = sets.takeChanges();
    for (const set of setChanges.added) {
      slots.useSet(set);
      classes.useSet(set);
    }
    for (const set of setChanges.removed) {
      slots.dropSet(set);
      classes.dropSet(set);
    }
    for (const row of doomed.splice(0)) table.remove(row);
    const found = problems;
    problems = [];
    return {
      problems: found,
      delta: {
        subjects: compiled.subjects,
        directions: compiled.directions,
        slots: slots.takeChanges(),
        sets: {
          added: setChanges.added,
          removed: setChanges.removed.map((set) => set.id),
        },
        classes: classes.takeChanges(),
        endpoints: takeEndpointChanges(),
        ipcache: ipcache.takeChanges(),
      },
    };
  };

  const apply = (changes: readonly EngineChange[]): EngineUpdate => {
    for (const change of changes) applyChange(change);
    return finish();
  };

  const takeSnapshot = (): EngineState => ({
    subjects: new Map(
      [...subjects.subjects()].flatMap(([key, { policy }]) => (policy === null ? [] : [[key, policy]])),
    ),
    directions: new Map(directions.published()),
    slots: new Map(slots.published()),
    sets: new Map(sets.inUse()),
    classes: new Map(classes.published()),
    endpoints: new Map(publishedEndpoints),
    ipcache: new Map(ipcache.published()),
  });

  const state = (): EngineState => {
    snapshot ??= takeSnapshot();
    return snapshot;
  };

  const indexSources = (): ReadonlyMap<RuleId, readonly SourceRef[]> => {
    const byRule = new Map<RuleId, SourceRef[]>();
    for (const document of store.documents()) {
      if (document.kind !== 'policy') continue;
      for (const { rule, source } of document.rules
        .flatMap(({ grants }) => grants)
        .flatMap(({ slot }) => slot?.rules ?? [])) {
        const known = byRule.get(rule.id);
        if (known === undefined) byRule.set(rule.id, [source]);
        else known.push(source);
      }
    }
    return byRule;
  };

  const sourcesOf = (id: RuleId): readonly SourceRef[] => {
    sources ??= indexSources();
    return sources.get(id) ?? [];
  };

  finish();
  return {
    apply,
    setFile: (file, text) => apply([{ kind: 'set-file', file, text }]),
    removeFile: (file) => apply([{ kind: 'remove-file', file }]),
    state,
    problems: store.problems,
    declaredSlots: slots.declared,
    sourcesOf,
    labelsOf: (number) => table.get(number)?.labels ?? null,
    explain: (flow) =>
      explainFlow(flow, {
        facts,
        patterns,
        row: (number) => table.get(number),
        rowWithLabels: (labels) => {
          const wanted = canonicalLabels(filter(labels)).join('\n');
          return [...table.rows()].find((row) => row.labels.join('\n') === wanted);
        },
        endpoint: (id) => endpoints.get(id),
        identityOf: (prefix) => ipcache.published().get(prefix as PrefixText),
        rulesOf: (subject) =>
          [...inForce.values()].flatMap(({ document }) =>
            document.kind === 'policy'
              ? document.rules.filter((rule) => selectsSubject(rule, subject.row.parsed))
              : [],
          ),
        direction: (id) => directions.published().get(id),
        set: (id) => sets.inUse().get(id),
        slot: (id) => slots.get(id),
        sourceOf: (id) => sourcesOf(id)[0],
      }),
  };
}

function sameEndpoint(a: EndpointState, b: EndpointState): boolean {
  return (
    a.identity === b.identity &&
    a.subject === b.subject &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every((address, at) => address === b.addresses[at])
  );
}
