// One scanner over one text, whose functions share its position: longer than a file should be, and in one piece.
import type { Value } from './value.ts';

/** Where a text leaves plain YAML, and what is wrong there where that is known. */
export interface NotPlain {
  readonly at: number;
  readonly message: string | null;
}

/** Bounds that a text must keep. */
export interface PlainLimits {
  readonly depth: number;
  readonly values: number;
}

const code = (text: string): number => text.charCodeAt(0);
const newline = code('\n');
const space = code(' ');
const carriageReturn = code('\r');
const dash = code('-');
const colon = code(':');
const comma = code(',');
const hash = code('#');
const doubleQuote = code('"');
const singleQuote = code("'");
const openList = code('[');
const closeList = code(']');
const openMap = code('{');
const closeMap = code('}');
const backslash = code('\\');
const bar = code('|');
const plus = code('+');

/** Characters that no plain text begins with here: YAML's indicators, and what needs a second look. */
const indicators = new Set([...'-?:,[]{}#&*!|>\'"%@`'].map(code));
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};
/** Numbers of YAML's core schema beyond decimal integers of a size that is exact. */
const otherNumber =
  /^(?:0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
const integer = /^[-+]?[0-9]{1,15}$/;
/** Longer keys are an error in YAML. */
const longestKey = 1000;

class Stop extends Error {
  readonly at: number;
  readonly reason: string | null;
  constructor(at: number, reason: string | null) {
    super();
    this.at = at;
    this.reason = reason;
  }
}

/**
 * Reads the YAML that people write policies in, at some ten nanoseconds a character: block and flow collections, plain
 * and quoted texts that end on their line, literal block texts, comments, several documents. Whatever else YAML knows
 * (anchors, tags, folded texts, …), and whatever is wrong, stops it: then nothing is said about the text but where that
 * was. What it reads is what the yaml library reads, values and offsets (tests/l7-policy/yaml.property.test.ts).
 */
export function readPlainYaml(text: string, limits: PlainLimits): readonly Value[] | NotPlain {
  try {
    return createReader(text, limits).documents();
  } catch (error) {
    if (error instanceof Stop) return { at: error.at, message: error.reason };
    throw error;
  }
}

/** Tells the two results of `readPlainYaml` apart. */
export function isPlain(result: readonly Value[] | NotPlain): result is readonly Value[] {
  return Array.isArray(result);
}

interface Reader {
  documents(): readonly Value[];
}

function createReader(text: string, limits: PlainLimits): Reader {
  const { length } = text;
  let at = 0;
  let values = 0;
  /** Where the line of `at` begins. */
  let lineStart = 0;

  function stop(where = at, reason: string | null = null): never {
    throw new Stop(where, reason);
  }

  function count(depth: number, where: number): void {
    if (depth > limits.depth) stop(where, `values are nested more than ${limits.depth} deep`);
    values += 1;
    if (values > limits.values) stop(where, 'the file holds too many values');
  }

  const isEnd = (next: number): boolean =>
    Number.isNaN(next) ||
    next === newline ||
    (next === carriageReturn && text.charCodeAt(at + 1) === newline);

  function skipSpaces(): void {
    while (text.charCodeAt(at) === space) at += 1;
  }

  /** To the end of the line; only spaces and a comment may come before it. */
  function endLine(): void {
    skipSpaces();
    if (text.charCodeAt(at) === hash) {
      if (at !== lineStart && text.charCodeAt(at - 1) !== space) stop();
      const end = text.indexOf('\n', at);
      at = end < 0 ? length : end;
    }
    if (!isEnd(text.charCodeAt(at))) stop();
    if (text.charCodeAt(at) === carriageReturn) at += 1;
    if (at < length) at += 1;
    lineStart = at;
  }

  /** To the first character of the next line that holds something; its indentation, or -1 where a document ends. */
  function nextContent(): number {
    for (;;) {
      skipSpaces();
      const next = text.charCodeAt(at);
      if (at >= length) return -1;
      if (next !== hash && !isEnd(next)) break;
      endLine();
    }
    if (at === lineStart && isMarker()) return -1;
    return at - lineStart;
  }

  function isMarker(): boolean {
    const mark = text.startsWith('---', at) || text.startsWith('...', at);
    const after = text.charCodeAt(at + 3);
    return mark && (Number.isNaN(after) || after <= space);
  }

  function documents(): readonly Value[] {
    const found: Value[] = [];
    if (text.charCodeAt(0) === 0xfeff) stop();
    while (at < length) {
      const indent = nextContent();
      if (indent < 0) {
        if (at >= length) break;
        if (!text.startsWith('---', at)) stop();
        at += 3;
        endLine();
        continue;
      }
      found.push(block(indent, 0));
      // What ends a document is its end, or the mark of the next.
      if (nextContent() >= 0) stop();
    }
    return found;
  }

  /** A block collection at `indent`, or a flow collection alone; `at` is on its first character. */
  function block(indent: number, depth: number): Value {
    const next = text.charCodeAt(at);
    if (next === dash && isSeparated(at + 1)) return blockList(indent, depth);
    if (next === openList || next === openMap) {
      const start = at;
      const value = flow(-1, depth);
      skipSpaces();
      // A flow collection can be a key.
      if (text.charCodeAt(at) === colon) stop(start);
      endLine();
      return value;
    }
    return blockMap(indent, depth);
  }

  function isSeparated(where: number): boolean {
    const next = text.charCodeAt(where);
    return Number.isNaN(next) || next === space || next === newline || next === carriageReturn;
  }

  function blockList(indent: number, depth: number): Value {
    const start = at;
    count(depth, start);
    const items: Value[] = [];
    for (;;) {
      at += 1;
      skipSpaces();
      const first = text.charCodeAt(at);
      if (isEnd(first) || first === hash) {
        endLine();
        const inner = nextContent();
        if (inner <= indent) stop();
        items.push(block(inner, depth + 1));
      } else items.push(inline(indent, depth + 1));
      const next = nextContent();
      if (next < indent) break;
      if (next > indent) stop();
      if (text.charCodeAt(at) !== dash || !isSeparated(at + 1)) break;
    }
    return { kind: 'list', at: start, items };
  }

  /** What stands behind a dash on the same line: also a collection that begins there. */
  function inline(indent: number, depth: number): Value {
    const next = text.charCodeAt(at);
    if (next === dash && isSeparated(at + 1)) return blockList(at - lineStart, depth);
    if (next === openList || next === openMap) return flowToEnd(indent, depth);
    if (next === bar) return literal(indent, depth);
    if (isKey()) return blockMap(at - lineStart, depth);
    return scalarToEnd(depth);
  }

  /** Whether a key begins here: a text on this line with a colon behind it. */
  function isKey(): boolean {
    const [from, before] = [at, values];
    const quoted = text.charCodeAt(at) === doubleQuote || text.charCodeAt(at) === singleQuote;
    scalar(false, 0);
    if (quoted) skipSpaces();
    const key = text.charCodeAt(at) === colon && isSeparated(at + 1);
    at = from;
    values = before;
    return key;
  }

  function blockMap(indent: number, depth: number): Value {
    const start = at;
    count(depth, start);
    const fields = new Map<string, { at: number; value: Value }>();
    for (;;) {
      const keyAt = at;
      const name = keyName(scalar(false, depth + 1), fields);
      skipSpaces();
      if (text.charCodeAt(at) !== colon || !isSeparated(at + 1)) stop(keyAt);
      if (at - keyAt > longestKey) stop(keyAt);
      at += 1;
      fields.set(name, { at: keyAt, value: mapValue(indent, depth + 1, keyAt) });
      const next = nextContent();
      if (next < indent) break;
      if (next > indent) stop();
      if (text.charCodeAt(at) === dash && isSeparated(at + 1)) stop();
    }
    return { kind: 'map', at: start, fields };
  }

  function mapValue(indent: number, depth: number, keyAt: number): Value {
    skipSpaces();
    const nothingAt = at;
    const first = text.charCodeAt(at);
    if (isEnd(first) || first === hash) {
      endLine();
      const inner = nextContent();
      const list = text.charCodeAt(at) === dash && isSeparated(at + 1);
      if (inner > indent) return block(inner, depth);
      // A list may stand no deeper than its key.
      if (inner === indent && list) return blockList(indent, depth);
      count(depth, keyAt);
      return { kind: 'null', at: nothingAt };
    }
    if (first === openList || first === openMap) return flowToEnd(indent, depth);
    if (first === bar) return literal(indent, depth);
    if (first === dash && isSeparated(at + 1)) stop();
    return scalarToEnd(depth);
  }

  function scalarToEnd(depth: number): Value {
    const value = scalar(false, depth);
    // A colon here makes it a key, which cannot stand on this line.
    skipSpacesBefore(colon);
    endLine();
    return value;
  }

  function skipSpacesBefore(stopper: number): void {
    const from = at;
    skipSpaces();
    if (text.charCodeAt(at) === stopper) stop();
    at = from;
  }

  function flowToEnd(indent: number, depth: number): Value {
    const value = flow(indent, depth);
    skipSpacesBefore(colon);
    endLine();
    return value;
  }

  function keyName(key: Value, fields: ReadonlyMap<string, unknown>): string {
    if (key.kind === 'list' || key.kind === 'map') return stop(key.at);
    const name =
      key.kind === 'text' || key.kind === 'number' ? key.text : String(key.kind === 'null' ? '' : key.value);
    if (name === '<<') stop(key.at, 'merge keys (<<) are not supported; repeat the fields');
    if (fields.has(name)) stop(key.at, `the key "${name}" stands twice`);
    return name;
  }

  // ---- flow collections

  /** Spaces, comments and line ends inside a flow collection; what follows must stand deeper than `indent`. */
  function flowSpace(indent: number): void {
    for (;;) {
      skipSpaces();
      const next = text.charCodeAt(at);
      if (at >= length) stop();
      if (next !== hash && !isEnd(next)) break;
      endLine();
    }
    if (at - lineStart <= indent || (at === lineStart && isMarker())) stop();
  }

  function flow(indent: number, depth: number): Value {
    return text.charCodeAt(at) === openList ? flowList(indent, depth) : flowMap(indent, depth);
  }

  function flowValue(indent: number, depth: number): Value {
    const next = text.charCodeAt(at);
    return next === openList || next === openMap ? flow(indent, depth) : scalar(true, depth);
  }

  function flowList(indent: number, depth: number): Value {
    const start = at;
    count(depth, start);
    const items: Value[] = [];
    at += 1;
    for (;;) {
      flowSpace(indent);
      if (text.charCodeAt(at) === closeList) break;
      items.push(flowValue(indent, depth + 1));
      flowSpace(indent);
      const next = text.charCodeAt(at);
      if (next === closeList) break;
      if (next !== comma) stop();
      at += 1;
    }
    at += 1;
    return { kind: 'list', at: start, items };
  }

  function flowMap(indent: number, depth: number): Value {
    const start = at;
    count(depth, start);
    const fields = new Map<string, { at: number; value: Value }>();
    at += 1;
    for (;;) {
      flowSpace(indent);
      if (text.charCodeAt(at) === closeMap) break;
      const keyAt = at;
      const quoted = text.charCodeAt(at) === doubleQuote || text.charCodeAt(at) === singleQuote;
      const name = keyName(scalar(true, depth + 1), fields);
      skipSpaces();
      if (text.charCodeAt(at) !== colon || at - keyAt > longestKey) stop(keyAt);
      at += 1;
      if (!quoted && !isSeparated(at)) stop(keyAt);
      flowSpace(indent);
      fields.set(name, { at: keyAt, value: flowValue(indent, depth + 1) });
      flowSpace(indent);
      const next = text.charCodeAt(at);
      if (next === closeMap) break;
      if (next !== comma) stop();
      at += 1;
    }
    at += 1;
    return { kind: 'map', at: start, fields };
  }

  // ---- texts

  function scalar(inFlow: boolean, depth: number): Value {
    count(depth, at);
    const first = text.charCodeAt(at);
    if (first === doubleQuote) return doubleQuoted();
    if (first === singleQuote) return singleQuoted();
    return plain(inFlow, first);
  }

  function doubleQuoted(): Value {
    const start = at;
    let end = start + 1;
    let escaped = false;
    for (;;) {
      const next = text.charCodeAt(end);
      if (next === doubleQuote) break;
      if (next === backslash) {
        escaped = true;
        end += 1;
      }
      if (end >= length || text.charCodeAt(end) < space) stop(start);
      end += 1;
    }
    at = end + 1;
    const raw = text.slice(start + 1, end);
    return { kind: 'text', at: start, text: escaped ? meantBy(raw, start + 1) : raw };
  }

  function meantBy(raw: string, where: number): string {
    let result = '';
    let from = 0;
    for (let i = raw.indexOf('\\'); i >= 0; i = raw.indexOf('\\', from)) {
      const kind = raw[i + 1] ?? '';
      const digits = kind === 'u' ? 4 : kind === 'x' ? 2 : 0;
      const hex = raw.slice(i + 2, i + 2 + digits);
      const meant = digits > 0 ? null : (escapes[kind] ?? stop(where + i));
      if (meant === null && (hex.length < digits || !/^[0-9a-fA-F]+$/.test(hex))) stop(where + i);
      result += raw.slice(from, i) + (meant ?? String.fromCharCode(Number.parseInt(hex, 16)));
      from = i + 2 + digits;
    }
    return result + raw.slice(from);
  }

  function singleQuoted(): Value {
    const start = at;
    let end = start + 1;
    let doubled = false;
    for (;;) {
      const next = text.charCodeAt(end);
      if (next === singleQuote) {
        if (text.charCodeAt(end + 1) !== singleQuote) break;
        doubled = true;
        end += 1;
      } else if (end >= length || next < space) stop(start);
      end += 1;
    }
    at = end + 1;
    const raw = text.slice(start + 1, end);
    return { kind: 'text', at: start, text: doubled ? raw.replaceAll("''", "'") : raw };
  }

  /** A text of lines as they stand, deeper than `indent`. */
  function literal(indent: number, depth: number): Value {
    const start = at;
    count(depth, start);
    at += 1;
    const chomp = text.charCodeAt(at) === dash || text.charCodeAt(at) === plus ? text[at] : '';
    if (chomp !== '') at += 1;
    if (text.charCodeAt(at) !== newline) stop(start);
    at += 1;
    const first = at;
    while (text.charCodeAt(at) === space) at += 1;
    const inner = at - first;
    if (inner <= indent || !(text.charCodeAt(at) > space)) stop(start);
    const lines: string[] = [];
    at = first;
    while (at < length) {
      const end = text.indexOf('\n', at);
      const line = text.slice(at, end < 0 ? length : end);
      if (line.includes('\r')) stop(start);
      let own = 0;
      while (own < inner && line.charCodeAt(own) === space) own += 1;
      if (own < inner && own < line.length) break;
      lines.push(line.slice(inner));
      at += line.length + (end < 0 ? 0 : 1);
      if (end < 0) stop(start);
    }
    lineStart = at;
    let kept = lines.length;
    while (chomp !== '+' && kept > 0 && lines[kept - 1] === '') kept -= 1;
    const body = lines.slice(0, kept).join('\n');
    return { kind: 'text', at: start, text: chomp === '-' ? body : `${body}\n` };
  }

  function plain(inFlow: boolean, first: number): Value {
    const start = at;
    if (indicators.has(first)) {
      // `-x` and `-1` are texts and numbers; in a flow collection the next character may end it.
      const next = text.charCodeAt(at + 1);
      if (first !== dash || inFlow || !(next > space) || indicators.has(next)) stop();
    }
    let end = start;
    for (;;) {
      const next = text.charCodeAt(end);
      if (Number.isNaN(next) || next === newline || next === carriageReturn) break;
      if (next < space) stop(end);
      if (next === colon) {
        if (isSeparated(end + 1)) break;
        if (inFlow && isFlowIndicator(text.charCodeAt(end + 1))) stop(end);
      } else if (next === hash && text.charCodeAt(end - 1) === space) break;
      else if (inFlow && isFlowIndicator(next)) break;
      end += 1;
    }
    at = end;
    while (end > start && text.charCodeAt(end - 1) === space) end -= 1;
    if (end === start) stop();
    // Back to the last character, so that a comment behind it still has its space.
    at = end;
    return plainValue(text.slice(start, end), start);
  }

  function plainValue(source: string, start: number): Value {
    switch (source) {
      case '~':
      case 'null':
      case 'Null':
      case 'NULL':
        return { kind: 'null', at: start };
      case 'true':
      case 'True':
      case 'TRUE':
        return { kind: 'boolean', at: start, value: true };
      case 'false':
      case 'False':
      case 'FALSE':
        return { kind: 'boolean', at: start, value: false };
    }
    const first = source.charCodeAt(0);
    // Only these begin a number.
    if (first > 0x39 || first < 0x2b) return { kind: 'text', at: start, text: source };
    if (integer.test(source)) return { kind: 'number', at: start, value: Number(source), text: source };
    if (otherNumber.test(source)) stop(start);
    return { kind: 'text', at: start, text: source };
  }

  return { documents };
}

function isFlowIndicator(next: number): boolean {
  return next === comma || next === openList || next === closeList || next === openMap || next === closeMap;
}
