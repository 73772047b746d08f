import type { Engine } from './types/engine.ts';
import type { PeerRef } from './types/explanation.ts';
import { type Identity, reservedIdentities } from './types/identity.ts';

/** One end of a flow by a label `reserved:NAME`: the identity of that name, or else the label by itself. */
export function reservedRef(engine: Engine, label: string): PeerRef {
  const name = label.slice('reserved:'.length);
  const known: Readonly<Record<string, Identity>> = reservedIdentities;
  const number = Object.hasOwn(known, name) ? known[name] : undefined;
  return number !== undefined && engine.labelsOf(number) !== null
    ? { kind: 'identity', identity: number }
    : { kind: 'labels', labels: [label] };
}
