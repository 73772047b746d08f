import type { Compiled, EnvoyResource } from '@weir/envoy-config';
import type { ClassId, L7Class, L7Slot } from '@weir/l7-policy';

/** A class that the proxy should serve. */
export interface WantedClass {
  readonly id: ClassId;
  readonly kind: L7Class['kind'];
  readonly port: number;
  /** Null where that side asks for no L7. */
  readonly egress: readonly L7Slot[] | null;
  readonly ingress: readonly L7Slot[] | null;
}

/** Where a class stands at the proxy. */
export type ClassProgress =
  /** Sent, or about to be; not yet known to be in force. */
  | { readonly kind: 'waiting' }
  /** Its listener and its routes were acknowledged and its port listens. */
  | { readonly kind: 'ready' }
  /** What was last wanted cannot be had; `serving` tells whether an earlier content is in force. */
  | { readonly kind: 'refused'; readonly problem: string; readonly serving: boolean };

/** The proxy's side of the classes: what it is told, and what it has said to that. */
export interface ProxyClasses {
  /** Publishes these classes: new ones and changed contents. Others stay until they are dropped. */
  want(classes: readonly WantedClass[]): void;
  /** Withdraws classes that no connection uses. */
  drop(ids: readonly ClassId[]): void;
  /** Classes whose listener is known to listen and whose routes are in force, in some version. */
  ready(): ReadonlySet<ClassId>;
  progress(id: ClassId): ClassProgress | undefined;
  /** Classes whose last content is neither in force nor refused. */
  unsettled(): readonly ClassId[];
  /** The proxy is gone: nothing is ready until it has taken everything again. */
  lost(): void;
  close(): void;
}

/** The control server, reduced to what classes need of it. */
export interface ProxyPublisher {
  publish(set: readonly EnvoyResource[], remove: readonly Pick<EnvoyResource, 'typeUrl' | 'name'>[]): void;
  /** Resolves when the proxy has these resources in force in the version published last. */
  inForce(
    resources: readonly Pick<EnvoyResource, 'typeUrl' | 'name'>[],
    signal: AbortSignal,
  ): Promise<InForce>;
}

/** What became of waiting for resources. */
export type InForce =
  | { readonly kind: 'in-force' }
  | { readonly kind: 'refused'; readonly problem: string }
  /** The proxy went away, or there was no answer in time: ask again. */
  | { readonly kind: 'unknown' };

/** What is needed besides the publisher. */
export interface ProxyClassesParts {
  readonly publisher: ProxyPublisher;
  readonly compile: (wanted: WantedClass) => Compiled;
  /** Resolves when these ports listen in the proxy's namespace. */
  readonly listening: (ports: readonly number[]) => Promise<void>;
  /** Told whenever a class becomes ready or refused. */
  readonly onProgress: () => void;
  /** Calls back once after that time; the agent's clock. */
  readonly after: (delayMs: number, callback: () => void) => void;
}

interface Entry {
  readonly id: ClassId;
  readonly port: number;
  /** What the resources were compiled from; equal fingerprints need no new look. */
  readonly fingerprint: string;
  /** Empty while nothing of the class could be compiled. */
  readonly resources: readonly EnvoyResource[];
  /** Some version of listener and routes is in force, and the port listens. */
  readonly serving: boolean;
  readonly problem: string | null;
  /** The resources are in force as published last. */
  readonly current: boolean;
}

const ASK_AGAIN_MS = 200;

/**
 * Publishes what is wanted and finds out, in the background, what is in force. A class that cannot be
 * compiled, or that the proxy refuses, keeps the content it had. A content that is wanted while the proxy still takes
 * the one before is left for the turn that `onProgress` asks for.
 */
export function createProxyClasses(parts: ProxyClassesParts): ProxyClasses {
  const { publisher, compile, listening, onProgress, after } = parts;
  const entries = new Map<ClassId, Entry>();
  const watches = new Map<ClassId, AbortController>();
  /** Classes whose published content the proxy has not answered yet. */
  const asked = new Set<ClassId>();
  const closed = new AbortController();

  function want(classes: readonly WantedClass[]): void {
    const changed: EnvoyResource[] = [];
    const watched: ClassId[] = [];
    for (const wanted of classes) {
      const fingerprint = fingerprintOf(wanted);
      const had = entries.get(wanted.id);
      if (had?.fingerprint === fingerprint) continue;
      // The proxy takes one version at a time: what comes meanwhile is compiled once, when it has answered.
      if (had?.serving === true && asked.has(wanted.id)) continue;
      const compiled = compile(wanted);
      const base = { id: wanted.id, port: wanted.port, fingerprint, serving: had?.serving ?? false };
      if (compiled.kind === 'refused') {
        const { message: problem } = compiled.problem;
        entries.set(wanted.id, {
          ...base,
          resources: had?.resources ?? [],
          problem,
          current: had?.current ?? false,
        });
        continue;
      }
      const before = new Map(had?.resources.map((resource) => [resourceName(resource), resource]));
      const fresh = compiled.resources.filter(
        (resource) => !sameBytes(before.get(resourceName(resource)), resource),
      );
      changed.push(...fresh);
      entries.set(wanted.id, {
        ...base,
        resources: compiled.resources,
        problem: null,
        current: fresh.length === 0 && (had?.current ?? false),
      });
      if (fresh.length > 0) watched.push(wanted.id);
    }
    if (changed.length > 0) publisher.publish(changed, []);
    watched.forEach(watch);
  }

  /** Follows a class until its published resources are in force, or for good refused. */
  function watch(id: ClassId): void {
    watches.get(id)?.abort();
    const controller = new AbortController();
    watches.set(id, controller);
    const signal = AbortSignal.any([controller.signal, closed.signal]);
    void follow(id, signal).catch((error) => {
      if (signal.aborted) return;
      asked.delete(id);
      update(id, { problem: String(error) });
    });
  }

  async function follow(id: ClassId, signal: AbortSignal): Promise<void> {
    const entry = entries.get(id);
    if (entry === undefined) return;
    asked.add(id);
    const answer = await publisher.inForce(entry.resources, signal);
    if (signal.aborted) return;
    asked.delete(id);
    switch (answer.kind) {
      case 'refused':
        return update(id, { problem: answer.problem });
      case 'unknown':
        after(ASK_AGAIN_MS, () => {
          if (!signal.aborted) watch(id);
        });
        return onProgress();
      case 'in-force':
        await listening([entry.port]);
        if (!signal.aborted) update(id, { problem: null, current: true, serving: true });
    }
  }

  function update(id: ClassId, fields: Partial<Entry>): void {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entries.set(id, { ...entry, ...fields });
    onProgress();
  }

  return {
    want,
    drop(ids) {
      const remove = ids.flatMap((id) => {
        watches.get(id)?.abort();
        watches.delete(id);
        asked.delete(id);
        const resources = entries.get(id)?.resources ?? [];
        entries.delete(id);
        return resources;
      });
      if (remove.length > 0) publisher.publish([], remove);
    },
    lost() {
      for (const [id, entry] of entries) {
        entries.set(id, { ...entry, serving: false, current: false });
        if (entry.resources.length > 0) watch(id);
      }
      onProgress();
    },
    ready: () => new Set([...entries.values()].flatMap(({ id, serving }) => (serving ? [id] : []))),
    progress(id) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      if (entry.problem !== null) return { kind: 'refused', problem: entry.problem, serving: entry.serving };
      return { kind: entry.current ? 'ready' : 'waiting' };
    },
    unsettled: () =>
      [...entries.values()].flatMap(({ id, current, problem }) => (current || problem !== null ? [] : [id])),
    close: () => closed.abort(),
  };
}

/** Equal exactly when port, slots and their content are equal; order of slots does not count. */
function fingerprintOf({ port, egress, ingress }: WantedClass): string {
  const side = (slots: readonly L7Slot[] | null): string =>
    slots === null
      ? '-'
      : slots
          .map(({ id, digest }) => `${id}=${digest}`)
          .sort()
          .join(',');
  return `${port} ${side(egress)} ${side(ingress)}`;
}

function resourceName({ typeUrl, name }: EnvoyResource): string {
  return `${typeUrl} ${name}`;
}

function sameBytes(left: EnvoyResource | undefined, right: EnvoyResource): boolean {
  return left !== undefined && Buffer.compare(left.bytes, right.bytes) === 0;
}
