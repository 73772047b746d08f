import type { Refusals } from './refusals.ts';
import { kindName, type MapValue, type Value } from './value.ts';

/** Fields of Cilium 1.20's ordered policy, which Weir does not support. */
const orderedPolicyFields = new Set([
  'tier',
  'priority',
  'order',
  'pass',
  'ingressPass',
  'egressPass',
  'verdict',
]);

/** A map whose fields are all known. */
export interface Fields {
  readonly at: number;
  /** null when the field is missing or null. */
  get(name: string): Value | null;
  /** The field is written down, but with nothing behind it. */
  isNull(name: string): boolean;
  /** Offset of the field's key, or of the map. */
  keyAt(name: string): number;
}

/** Reads a map and refuses fields that are not in `known`. null: not a map (refused). */
export function readFields(
  refusals: Refusals,
  value: Value,
  what: string,
  known: readonly string[],
): Fields | null {
  if (value.kind !== 'map') {
    refusals.error(value.at, `${what} must be a map, not ${kindName(value)}`);
    return null;
  }
  for (const [name, field] of value.fields) {
    if (known.includes(name)) continue;
    if (orderedPolicyFields.has(name)) {
      refusals.error(
        field.at,
        `${what} has "${name}": tiers, priorities and pass of Cilium 1.20 are not supported yet`,
        'remove the field; deny rules always come before allow rules',
      );
      continue;
    }
    const close = nearest(name, known);
    refusals.error(
      field.at,
      `unknown field "${name}" in ${what}`,
      close === null ? `known fields: ${known.join(', ')}` : `did you mean "${close}"?`,
    );
  }
  return fieldsOf(value);
}

function fieldsOf(value: MapValue): Fields {
  return {
    at: value.at,
    get(name) {
      const field = value.fields.get(name);
      return field === undefined || field.value.kind === 'null' ? null : field.value;
    },
    isNull: (name) => value.fields.get(name)?.value.kind === 'null',
    keyAt: (name) => value.fields.get(name)?.at ?? value.at,
  };
}

/** A condition with nothing behind it is none, as in Kubernetes; whoever wrote its name meant one. */
export function warnOfNulls(
  refusals: Refusals,
  fields: Fields,
  names: readonly string[],
  what: string,
): void {
  for (const name of names) {
    if (!fields.isNull(name)) continue;
    refusals.warn(
      fields.keyAt(name),
      `${what}.${name} has nothing behind it, which is as if it were missing: it limits nothing`,
      'write a value, or remove the field',
    );
  }
}

/** The items of a list; a value that is no list is refused and gives none. */
export function readList(refusals: Refusals, value: Value, what: string): readonly Value[] {
  if (value.kind === 'list') return value.items;
  refusals.error(value.at, `${what} must be a list, not ${kindName(value)}`);
  return [];
}

/** A text; anything else is refused. */
export function readText(refusals: Refusals, value: Value, what: string): string | null {
  if (value.kind === 'text') return value.text;
  const hint = value.kind === 'number' || value.kind === 'boolean' ? 'put it in quotes' : undefined;
  refusals.error(value.at, `${what} must be a text, not ${kindName(value)}`, hint);
  return null;
}

/** The text of an optional field; null when missing or refused. */
export function optionalText(refusals: Refusals, fields: Fields, name: string, what: string): string | null {
  const value = fields.get(name);
  return value === null ? null : readText(refusals, value, `${what}.${name}`);
}

/** true or false of an optional field. */
export function optionalBoolean(
  refusals: Refusals,
  fields: Fields,
  name: string,
  what: string,
): boolean | null {
  const value = fields.get(name);
  if (value === null) return null;
  if (value.kind === 'boolean') return value.value;
  refusals.error(value.at, `${what}.${name} must be true or false, not ${kindName(value)}`);
  return null;
}

/** The known word within two edits, or equal but for case. */
export function nearest(word: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.min(3, Math.ceil(word.length / 2));
  for (const candidate of known) {
    const distance =
      candidate.toLowerCase() === word.toLowerCase() ? 0 : editDistance(word.slice(0, 40), candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
