/** A source of numbers from a seed, so that every finding can be had again. */
export interface Random {
  /** From 0 up to but without `limit`. */
  below(limit: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

/** mulberry32. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const below = (limit: number): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) % limit;
  };
  return { below, pick: (items) => items[below(items.length)]! };
}

/** Documents with one field that is not as it was: they are refused, or mean what they meant. */
export interface Mutant {
  readonly text: string;
  readonly what: string;
}

/** Keys under which any key may stand and none is a condition. */
const open = new Set(['matchLabels', 'labels', 'annotations', 'status', 'description', 'l7', 'log']);
const twice = '\u0001twice:';

/** Renames, doubles, moves or retypes one field of some documents. */
export function mutateField(documents: readonly unknown[], random: Random): Mutant {
  const copy: unknown[] = structuredClone([...documents]);
  const places = fieldsOf(copy, []);
  const { holder, key, path } = random.pick(places);
  const value = holder[key];
  const where = [...path, key].join('.');
  const closed = !path.some((name) => open.has(name));
  const kind = random.below(closed ? 4 : 2);
  switch (kind) {
    case 0:
      holder[key] = retyped(value, random);
      return { text: written(copy), what: `${where} is ${JSON.stringify(holder[key])}` };
    case 1:
      holder[twice + key] = structuredClone(value);
      return { text: written(copy), what: `${where} stands twice` };
    case 2: {
      const name = misspelt(key, random);
      delete holder[key];
      holder[name] = value;
      return { text: written(copy), what: `${where} is called ${name}` };
    }
    default: {
      const target = random.pick(places.filter((place) => !place.path.some((name) => open.has(name)))).holder;
      const name = misspelt(key, random);
      target[name] = structuredClone(value);
      return { text: written(copy), what: `${name} of ${where} stands elsewhere too` };
    }
  }
}

interface Place {
  readonly holder: Record<string, unknown>;
  readonly key: string;
  readonly path: readonly string[];
}

function fieldsOf(value: unknown, path: readonly string[]): Place[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => fieldsOf(item, [...path, String(index)]));
  if (!isRecord(value)) return [];
  return Object.keys(value).flatMap((key) => [
    { holder: value, key, path },
    ...fieldsOf(value[key], [...path, key]),
  ]);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Another type, never null: null is a field that is not there. */
function retyped(value: unknown, random: Random): unknown {
  const number = Number(value);
  const others: readonly unknown[] = [
    [value],
    { 0: value },
    Array.isArray(value) ? { ...value } : String(value),
    ...(typeof value === 'boolean' ? [] : [true]),
    ...(typeof value === 'number' ? [] : [7.5]),
    ...(typeof value === 'string' ? [] : ['yes']),
    ...(typeof value === 'string' && value !== '' && Number.isInteger(number) ? [number] : []),
    ...(Array.isArray(value) && value.length === 1 ? [value[0]] : []),
  ];
  const chosen = random.pick(others);
  return JSON.stringify(chosen) === JSON.stringify(value) ? { 0: value } : chosen;
}

function misspelt(key: string, random: Random): string {
  const at = random.below(key.length);
  const names = [
    `${key}s`,
    `x${key}`,
    key.slice(0, at) + key.slice(at + 1),
    key.toUpperCase() === key ? key.toLowerCase() : key.toUpperCase(),
    ` ${key}`,
    `${key}\u200b`,
    '__proto__x',
    'constructor',
  ];
  const name = random.pick(names);
  return name === key || name === '' ? `${key}_` : name;
}

function written(documents: readonly unknown[]): string {
  return documents
    .map((value) => JSON.stringify(value))
    .join('\n---\n')
    .replaceAll(JSON.stringify(twice).slice(1, -1), '');
}

const tokens = [
  ...[
    '- ',
    ': ',
    '? ',
    '&a ',
    '*a',
    '<<: ',
    '!!str ',
    '!!binary ',
    '!x ',
    '| \n',
    '>-\n',
    '# ',
    '---\n',
    '...\n',
    '%YAML 1.1\n',
  ],
  ...[
    '{',
    '}',
    '[',
    ']',
    ',',
    '"',
    "'",
    '\\',
    '\t',
    '\r',
    '\n',
    '\n\n  ',
    '\0',
    '\u2028',
    '\ufeff',
    '\ud800',
    '\u{1f600}',
  ],
  ...[
    'null',
    '~',
    'true',
    '0x1F',
    '1e999',
    '-.inf',
    '.nan',
    '99999999999999999999',
    '2001-01-01',
    '__proto__',
  ],
];

/** Changes the text as if by a broken editor or an attacker: the result may be anything. */
export function mutateText(text: string, random: Random): string {
  let result = text;
  for (let rounds = 1 + random.below(2); rounds > 0; rounds--) {
    const at = random.below(result.length + 1);
    const length = random.below(random.pick([2, 12, 60]));
    const slice = result.slice(at, at + length);
    switch (random.below(6)) {
      case 0:
        result = result.slice(0, at) + random.pick(tokens) + result.slice(at);
        break;
      case 1:
        result = result.slice(0, at) + result.slice(at + length);
        break;
      case 2:
        result = result.slice(0, at) + slice + result.slice(at);
        break;
      case 3:
        result = result.slice(0, at) + slice.repeat(50) + result.slice(at);
        break;
      case 4:
        result = result.slice(0, at) + String.fromCharCode(random.below(256)) + result.slice(at + 1);
        break;
      default: {
        const lines = result.split('\n');
        const line = random.below(lines.length);
        lines[line] = ' '.repeat(random.below(12)) + lines[line]!.trimStart();
        result = lines.join('\n');
      }
    }
  }
  return result;
}
