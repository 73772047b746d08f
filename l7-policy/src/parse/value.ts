/** A YAML value with the offset where it starts in its file. Aliases are already followed. */
export type Value =
  | { readonly kind: 'null'; readonly at: number }
  | { readonly kind: 'text'; readonly at: number; readonly text: string }
  | { readonly kind: 'number'; readonly at: number; readonly value: number; readonly text: string }
  | { readonly kind: 'boolean'; readonly at: number; readonly value: boolean }
  | { readonly kind: 'list'; readonly at: number; readonly items: readonly Value[] }
  | MapValue;

export interface MapValue {
  readonly kind: 'map';
  readonly at: number;
  readonly fields: ReadonlyMap<string, Field>;
}

/** `at` is the offset of the key. */
export interface Field {
  readonly at: number;
  readonly value: Value;
}

/** How a value is called in messages. */
export function kindName(value: Value): string {
  const names = {
    null: 'null',
    text: 'a text',
    number: 'a number',
    boolean: 'true or false',
    list: 'a list',
    map: 'a map',
  };
  return names[value.kind];
}
