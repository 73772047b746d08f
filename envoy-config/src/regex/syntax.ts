/** The parts of RE2's syntax that the analysis understands; see {@link parseRegex}. */
export type RegexNode =
  | { readonly kind: 'literal'; readonly text: string }
  /** `.`: one character, not a newline. */
  | { readonly kind: 'any' }
  /** One character out of some; which ones does not matter to the analysis, but how many ranges they are. */
  | { readonly kind: 'set'; readonly ranges: number }
  /** `^`, `$`, `\A`, `\z`: matches no character. */
  | { readonly kind: 'begin' }
  | { readonly kind: 'end' }
  | { readonly kind: 'concat'; readonly parts: readonly RegexNode[] }
  | { readonly kind: 'alternate'; readonly parts: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly node: RegexNode; readonly min: number; readonly max: number };

/** Characters that mean something outside a class; any other stands for itself. */
const special = new Set([...'\\.+*?()|[]{}^$']);
/** Byte ranges of a set that takes in most of Unicode (RE2 works on UTF-8 bytes), `.` being one. */
export const wideRanges = 12;

/** `\d`, `\w` and the like: one character of a class. */
const classEscapes = new Set([...'dDwWsS']);

/**
 * Reads the part of RE2's syntax (https://github.com/google/re2/wiki/Syntax) whose meaning is certain:
 * literals, `.`, classes, groups, alternation, repetition and the anchors of a whole text.
 * null stands for "unsure": flags, `\Q…\E`, `\b`, octal and hexadecimal escapes, and what RE2 refuses.
 * The pattern must already be one that RE2 accepts; this is no validation.
 */
export function parseRegex(pattern: string): RegexNode | null {
  const reader = createReader([...pattern]);
  const node = readAlternation(reader);
  return node !== null && reader.peek() === undefined ? node : null;
}

interface Reader {
  peek(ahead?: number): string | undefined;
  take(): string | undefined;
  /** Moves on when the text that follows is `text`. */
  skip(text: string): boolean;
}

function createReader(characters: readonly string[]): Reader {
  let at = 0;
  return {
    peek: (ahead = 0) => characters[at + ahead],
    take: () => characters[at++],
    skip(text) {
      const follows = [...text].every((character, index) => characters[at + index] === character);
      if (follows) at += [...text].length;
      return follows;
    },
  };
}

function readAlternation(reader: Reader): RegexNode | null {
  const parts: RegexNode[] = [];
  do {
    const part = readConcatenation(reader);
    if (part === null) return null;
    parts.push(part);
  } while (reader.skip('|'));
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : { kind: 'alternate', parts };
}

function readConcatenation(reader: Reader): RegexNode | null {
  const parts: RegexNode[] = [];
  for (let next = reader.peek(); next !== undefined && next !== '|' && next !== ')'; next = reader.peek()) {
    const atom = readAtom(reader);
    if (atom === null) return null;
    const repeated = readRepetition(reader, atom);
    if (repeated === null) return null;
    parts.push(repeated);
  }
  return { kind: 'concat', parts };
}

function readAtom(reader: Reader): RegexNode | null {
  const character = reader.take();
  switch (character) {
    case undefined:
      return null;
    case '.':
      return { kind: 'any' };
    case '^':
      return { kind: 'begin' };
    case '$':
      return { kind: 'end' };
    case '(':
      return readGroup(reader);
    case '[':
      return readClass(reader);
    case '\\':
      return readEscape(reader);
    default:
      return special.has(character) ? null : { kind: 'literal', text: character };
  }
}

function readGroup(reader: Reader): RegexNode | null {
  if (reader.skip('?')) {
    if (reader.skip('P<') || reader.skip('<')) {
      let name = reader.take();
      while (name !== undefined && /^[A-Za-z0-9_]$/.test(name)) name = reader.take();
      if (name !== '>') return null;
    } else if (!reader.skip(':')) {
      return null;
    }
  }
  const inside = readAlternation(reader);
  return inside !== null && reader.skip(')') ? inside : null;
}

function readEscape(reader: Reader): RegexNode | null {
  const character = reader.take();
  if (character === undefined) return null;
  if (classEscapes.has(character)) return { kind: 'set', ranges: wideRanges };
  if (character === 'A') return { kind: 'begin' };
  if (character === 'z') return { kind: 'end' };
  const code = character.codePointAt(0) ?? 0;
  const punctuation = code < 0x80 && code > 0x20 && !/^[A-Za-z0-9]$/.test(character);
  return punctuation ? { kind: 'literal', text: character } : null;
}

/** After `[`. A class of one plain character is that character. */
function readClass(reader: Reader): RegexNode | null {
  const negated = reader.skip('^');
  const members: string[] = [];
  let plain = true;
  for (let first = true; ; first = false) {
    const character = reader.take();
    if (character === undefined) return null;
    if (character === ']' && !first) break;
    if (character === '[' && reader.peek() === ':') {
      plain = false;
      let name = reader.take();
      while (name !== undefined && name !== ']') name = reader.take();
    } else if (character === '\\') {
      const escaped = reader.take();
      if (escaped === undefined || !/^[^A-Za-z0-9]$|^[dDwWsSntr]$/.test(escaped)) return null;
      if (/^[A-Za-z]$/.test(escaped)) plain = false;
      members.push(escaped);
    } else {
      members.push(character);
    }
  }
  const [only] = members;
  if (!negated && plain && members.length === 1 && only !== undefined) return { kind: 'literal', text: only };
  return { kind: 'set', ranges: negated || !plain ? wideRanges : members.length };
}

function readRepetition(reader: Reader, node: RegexNode): RegexNode | null {
  const bounds = readBounds(reader);
  if (bounds === undefined) return node;
  if (bounds === null) return null;
  reader.skip('?');
  const next = reader.peek();
  if (next !== undefined && '*+?{'.includes(next)) return null;
  return { kind: 'repeat', node, min: bounds.min, max: bounds.max };
}

function readBounds(reader: Reader): { min: number; max: number } | null | undefined {
  if (reader.skip('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
  if (reader.skip('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
  if (reader.skip('?')) return { min: 0, max: 1 };
  if (!reader.skip('{')) return undefined;
  let text = '';
  for (let next = reader.take(); next !== '}'; next = reader.take()) {
    if (next === undefined) return null;
    text += next;
  }
  const bounds = /^(\d{1,4})(?:(,)(\d{1,4})?)?$/.exec(text);
  if (bounds === null) return null;
  const min = Number(bounds[1]);
  if (bounds[2] === undefined) return { min, max: min };
  return { min, max: bounds[3] === undefined ? Number.POSITIVE_INFINITY : Number(bounds[3]) };
}
