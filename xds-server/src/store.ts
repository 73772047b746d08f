import type { Target } from './in-force.ts';
import type { Resource, ResourceRef } from './resource.ts';
import type { Update } from './server.ts';
import { type Stored, stored } from './stored.ts';
import { createView, type Layer, type View } from './view.ts';

/** All layers, and the views that look at them. */
export interface Store {
  /** See `XdsServer.update`. */
  readonly apply: (updates: readonly Update[], sharedLayer: string) => readonly Target[];
  readonly targets: (refs: readonly ResourceRef[], layer: string) => readonly Target[];
  readonly resources: (layer: string) => readonly Resource[];
  /** The view of a stack of layers; clients with equal stacks share one. Give it back with `release`. */
  readonly view: (layers: readonly string[]) => View;
  readonly release: (view: View) => void;
}

interface Change {
  readonly layer: string;
  readonly ref: ResourceRef;
  readonly resource: Resource | null;
}

export function createStore(): Store {
  const layers = new Map<string, Layer>();
  const views = new Map<string, { readonly view: View; users: number }>();
  let serial = 0;

  function find(layer: string, { typeUrl, name }: ResourceRef): Stored | undefined {
    return layers.get(layer)?.get(typeUrl)?.get(name);
  }

  function target(layer: string, { typeUrl, name }: ResourceRef): Target {
    const item = find(layer, { typeUrl, name });
    return Object.freeze({
      typeUrl,
      name,
      layer,
      version: item?.resource.version ?? null,
      serial: item?.serial ?? serial,
    });
  }

  function put({ layer, ref, resource }: Change): void {
    const before = find(layer, ref);
    if (before?.resource.version === resource?.version) return;
    const watching = [...views.values()]
      .map(({ view }) => view)
      .filter((view) => view.shows(layer, ref.typeUrl, ref.name))
      .map((view) => ({ view, before: view.lookup(ref.typeUrl, ref.name) }));
    const types = layers.get(layer) ?? new Map<string, Map<string, Stored>>();
    layers.set(layer, types);
    const names = types.get(ref.typeUrl) ?? new Map<string, Stored>();
    types.set(ref.typeUrl, names);
    if (resource === null) names.delete(ref.name);
    else names.set(ref.name, stored(resource, serial));
    for (const { view, before: shown } of watching) view.changed(ref.typeUrl, ref.name, shown);
  }

  return Object.freeze({
    apply: (updates, sharedLayer) => {
      const changes = updates.flatMap((update) => changesOf(update, update.layer ?? sharedLayer));
      refuseDuplicates(changes);
      serial += 1;
      for (const change of changes) put(change);
      return changes.map((change) => target(change.layer, change.ref));
    },
    targets: (refs, layer) => refs.map((ref) => target(layer, ref)),
    resources: (layer) =>
      [...(layers.get(layer)?.values() ?? [])].flatMap((names) =>
        [...names.values()].map((item) => item.resource),
      ),
    view: (names) => {
      const key = JSON.stringify(names);
      const entry = views.get(key) ?? { view: createView(names, (name) => layers.get(name)), users: 0 };
      entry.users += 1;
      views.set(key, entry);
      return entry.view;
    },
    release: (view) => {
      const key = JSON.stringify(view.layers);
      const entry = views.get(key);
      if (entry === undefined) return;
      entry.users -= 1;
      if (entry.users === 0) views.delete(key);
    },
  } satisfies Store);
}

function changesOf({ set = [], remove = [] }: Update, layer: string): readonly Change[] {
  return [
    ...set.map((resource) => ({ layer, ref: resource, resource })),
    ...remove.map((ref) => ({ layer, ref, resource: null })),
  ];
}

/** Sent twice in one response, a name makes a client refuse the whole of it; so it may not get this far. */
function refuseDuplicates(changes: readonly Change[]): void {
  const seen = new Set<string>();
  for (const { layer, ref } of changes) {
    if (ref.typeUrl === '' || ref.name === '' || ref.name === '*') {
      throw new Error(
        `an update names no resource: type ${JSON.stringify(ref.typeUrl)}, name ${JSON.stringify(ref.name)}`,
      );
    }
    const key = JSON.stringify([layer, ref.typeUrl, ref.name]);
    if (seen.has(key)) {
      throw new Error(
        `an update names ${ref.typeUrl} ${JSON.stringify(ref.name)} twice in layer ${JSON.stringify(layer)}`,
      );
    }
    seen.add(key);
  }
}
