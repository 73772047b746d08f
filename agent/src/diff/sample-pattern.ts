/** Variants of a sample; each takes other alternatives, members of classes and numbers of repetitions. */
export const variants = [0, 1, 2, 3] as const;

/**
 * A text that an RE2 pattern matches. null for what the sampler does not read; callers check the result with the
 * real matcher.
 */
export function samplePattern(pattern: string, variant: number): string | null {
  const reader = { pattern, at: 0, variant };
  const text = alternatives(reader);
  return text === null || reader.at < pattern.length ? null : text;
}

interface Reader {
  readonly pattern: string;
  readonly variant: number;
  at: number;
}

function alternatives(reader: Reader): string | null {
  const texts = [sequence(reader)];
  while (reader.pattern[reader.at] === '|') {
    reader.at += 1;
    texts.push(sequence(reader));
  }
  return texts.includes(null) ? null : (texts[Math.min(reader.variant, texts.length - 1)] ?? null);
}

function sequence(reader: Reader): string | null {
  let text = '';
  while (reader.at < reader.pattern.length && !'|)'.includes(reader.pattern[reader.at] ?? '')) {
    const part = atom(reader);
    if (part === null) return null;
    text += part.repeat(repetitions(reader));
  }
  return text;
}

function atom(reader: Reader): string | null {
  const char = reader.pattern[reader.at] ?? '';
  reader.at += 1;
  switch (char) {
    case '.':
      return 'a';
    case '^':
    case '$':
      return '';
    case '(':
      return group(reader);
    case '[':
      return bracket(reader);
    case '\\':
      return escaped(reader);
    default:
      return char;
  }
}

function group(reader: Reader): string | null {
  const head = /^\?(?::|P?<[A-Za-z0-9_]+>)/.exec(reader.pattern.slice(reader.at));
  if (head !== null) reader.at += head[0].length;
  else if (reader.pattern[reader.at] === '?') return null;
  const text = alternatives(reader);
  if (text === null || reader.pattern[reader.at] !== ')') return null;
  reader.at += 1;
  return text;
}

/** A member of a class; of one that excludes, some character that it leaves. */
function bracket(reader: Reader): string | null {
  const match = /^(\^?)((?:\\.|\[:\w+:\]|[^\]\\])(?:\\.|\[:\w+:\]|[^\]\\])*)\]/.exec(
    reader.pattern.slice(reader.at),
  );
  if (match === null) return null;
  reader.at += match[0].length;
  const [, excluded, members = ''] = match;
  if (excluded === '^') return ['a', '0', '-', 'Z', '~'].find((char) => !members.includes(char)) ?? null;
  if (members.startsWith('[:')) return members.startsWith('[:digit:') ? '0' : 'a';
  const parts = members.replaceAll(/(?<=[^\\])-(?=.)/g, '').match(/\\.|./g) ?? [];
  const part = parts[Math.min(reader.variant, parts.length - 1)] ?? '';
  return part.startsWith('\\') ? escaped({ pattern: part, at: 1, variant: 0 }) : part;
}

function escaped(reader: Reader): string | null {
  const char = reader.pattern[reader.at] ?? '';
  reader.at += 1;
  const classes: Readonly<Record<string, string>> = { d: '0', w: 'a', s: ' ', D: 'a', S: 'a', W: '-' };
  if (Object.hasOwn(classes, char)) return classes[char] ?? null;
  return /[A-Za-z0-9]/.test(char) || char === '' ? null : char;
}

function repetitions(reader: Reader): number {
  const match = /^(?:([*+?])|\{(\d{1,3})(?:,\d*)?\})\??/.exec(reader.pattern.slice(reader.at));
  if (match === null) return 1;
  reader.at += match[0].length;
  const [, sign, count] = match;
  if (count !== undefined) return Number(count);
  return sign !== '+' && reader.variant === 3 ? 0 : 1;
}
