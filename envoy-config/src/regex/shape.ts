import { parseRegex, type RegexNode } from './syntax.ts';

/** What a pattern that must match a whole text amounts to. */
export type RegexShape =
  /** Every text without a newline that is valid UTF-8. */
  | { readonly kind: 'anything' }
  /** Exactly these texts, sorted. */
  | { readonly kind: 'literals'; readonly texts: readonly string[] }
  /** Every text without a newline that begins so. */
  | { readonly kind: 'prefix'; readonly prefix: string }
  /** Only the regex itself can tell; every text that it matches begins with `prefix` (which may be empty). */
  | { readonly kind: 'regex'; readonly prefix: string };

/** More alternatives than this stay a regex. */
const maxLiterals = 32;
const unsure: RegexShape = Object.freeze({ kind: 'regex', prefix: '' });

/**
 * The shape of an RE2 pattern under full match. Unsure means `regex` with an empty prefix, which is
 * always right. `prefix` and `anything` leave out only texts with a newline or with bytes that are no
 * UTF-8: callers that use them must refuse those by other means.
 */
export function regexShape(pattern: string): RegexShape {
  const node = parseRegex(pattern);
  if (node === null) return unsure;
  const whole = trim(flatten(node));
  const texts = literalTexts({ kind: 'concat', parts: whole });
  if (texts !== null) return { kind: 'literals', texts: [...new Set(texts)].sort() };
  const tail = whole.at(-1);
  if (tail !== undefined && isAnything(tail)) {
    const [head, ...others] = literalTexts({ kind: 'concat', parts: whole.slice(0, -1) }) ?? [];
    if (head === '') return { kind: 'anything' };
    if (head !== undefined && others.length === 0) return { kind: 'prefix', prefix: head };
  }
  return { kind: 'regex', prefix: commonPrefix({ kind: 'concat', parts: whole }).text };
}

/** The parts of the outermost concatenation, groups in it opened. */
function flatten(node: RegexNode): readonly RegexNode[] {
  return node.kind === 'concat' ? node.parts.flatMap(flatten) : [node];
}

/** Without the anchors at either end, which a full match implies; elsewhere they forbid a match. */
function trim(parts: readonly RegexNode[]): readonly RegexNode[] {
  let from = 0;
  let to = parts.length;
  while (from < to && parts[from]?.kind === 'begin') from += 1;
  while (to > from && parts[to - 1]?.kind === 'end') to -= 1;
  return parts.slice(from, to);
}

function isAnything(node: RegexNode): boolean {
  return (
    node.kind === 'repeat' &&
    node.node.kind === 'any' &&
    node.min === 0 &&
    node.max === Number.POSITIVE_INFINITY
  );
}

/** All texts that the node matches, or null when they are many or unknown. */
function literalTexts(node: RegexNode): readonly string[] | null {
  switch (node.kind) {
    case 'literal':
      return [node.text];
    case 'concat':
      return node.parts.reduce<readonly string[] | null>(
        (heads, part) => {
          const tails = heads === null ? null : literalTexts(part);
          if (heads === null || tails === null || heads.length * tails.length > maxLiterals) return null;
          return heads.flatMap((head) => tails.map((tail) => head + tail));
        },
        [''],
      );
    case 'alternate': {
      const texts: string[] = [];
      for (const part of node.parts) {
        const more = literalTexts(part);
        if (more === null || texts.length + more.length > maxLiterals) return null;
        texts.push(...more);
      }
      return texts;
    }
    case 'repeat': {
      if (node.max > 8) return null;
      const texts: string[] = [];
      for (let times = node.min; times <= node.max; times += 1) {
        const more = literalTexts({ kind: 'concat', parts: Array.from({ length: times }, () => node.node) });
        if (more === null || texts.length + more.length > maxLiterals) return null;
        texts.push(...more);
      }
      return texts;
    }
    default:
      return null;
  }
}

interface Prefix {
  readonly text: string;
  /** The node matches this text and no other. */
  readonly whole: boolean;
}

/** The longest text that is sure to begin every match of the node. */
function commonPrefix(node: RegexNode): Prefix {
  switch (node.kind) {
    case 'literal':
      return { text: node.text, whole: true };
    case 'begin':
    case 'end':
      return { text: '', whole: true };
    case 'concat': {
      let text = '';
      for (const part of node.parts) {
        const prefix = commonPrefix(part);
        text += prefix.text;
        if (!prefix.whole) return { text, whole: false };
      }
      return { text, whole: true };
    }
    case 'alternate': {
      const prefixes = node.parts.map(commonPrefix);
      const text = prefixes.map((prefix) => prefix.text).reduce(sharedStart);
      return { text, whole: prefixes.every((prefix) => prefix.whole && prefix.text === text) };
    }
    case 'repeat': {
      if (node.min === 0) return { text: '', whole: false };
      const once = commonPrefix(node.node);
      return { text: once.text, whole: once.whole && node.max === 1 };
    }
    default:
      return { text: '', whole: false };
  }
}

function sharedStart(left: string, right: string): string {
  const others = [...right];
  const shared = [...left];
  const end = shared.findIndex((character, index) => character !== others[index]);
  return (end === -1 ? shared : shared.slice(0, end)).join('');
}
