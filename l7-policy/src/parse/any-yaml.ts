import { Composer, type Document, isAlias, isMap, isNode, isScalar, isSeq, Parser } from 'yaml';
import type { Value } from './value.ts';
import { refuse, type YamlFile, type YamlLimits } from './yaml-file.ts';

/** Reads all of YAML, by the yaml library, which takes up to eight microseconds a character. */
export function readAnyYaml(text: string, limits: YamlLimits): YamlFile {
  const deep = tooDeep(text, limits);
  if (deep !== null) return refuse(deep, `values are nested more than ${limits.depth} deep`);
  const parsed: Document.Parsed[] = [];
  const problems: YamlFile['problems'][number][] = [];
  try {
    // Keys that stand twice are found below: the library compares each with all others.
    const composer = new Composer({ logLevel: 'silent', prettyErrors: false, uniqueKeys: false });
    for (const document of composer.compose(new Parser().parse(text))) {
      parsed.push(document);
      for (const { pos, message } of document.errors.slice(0, limits.problems)) {
        problems.push({ at: pos[0], message: `this is not YAML: ${firstLine(message)}` });
      }
      if (problems.length >= limits.problems) break;
    }
  } catch (error) {
    return refuse(0, `this is not YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (problems.length > 0) return { documents: [], problems, plain: false };
  const budget = { aliased: 0, values: 0 };
  try {
    const documents = parsed.map((document) => {
      const walk = { limits, budget, anchors: new Map<string, unknown>() };
      return toValue(document.contents, walk, 0, document.range[0], false);
    });
    return { documents, problems: [], plain: false };
  } catch (error) {
    if (error instanceof YamlRefusal) return refuse(error.at, error.message);
    throw error;
  }
}

class YamlRefusal extends Error {
  readonly at: number;
  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

function firstLine(message: string): string {
  return message.split('\n')[0] ?? message;
}

interface Walk {
  readonly limits: YamlLimits;
  readonly budget: { aliased: number; values: number };
  /** The latest node of each anchor; the library's own way to find it walks the document for every alias. */
  readonly anchors: Map<string, unknown>;
}

function toValue(node: unknown, walk: Walk, depth: number, fallbackAt: number, insideAlias: boolean): Value {
  if (node === null || node === undefined) return { kind: 'null', at: fallbackAt };
  const { limits, budget, anchors } = walk;
  if (depth > limits.depth)
    throw new YamlRefusal(fallbackAt, `values are nested more than ${limits.depth} deep`);
  budget.values += 1;
  if (budget.values > limits.values) throw new YamlRefusal(fallbackAt, 'the file holds too many values');
  if (insideAlias) {
    budget.aliased += 1;
    if (budget.aliased > limits.aliasedValues) {
      throw new YamlRefusal(fallbackAt, `aliases expand to more than ${limits.aliasedValues} values`);
    }
  }
  if (isAlias(node)) {
    const target = anchors.get(node.source);
    if (target === undefined) throw new YamlRefusal(fallbackAt, `unknown anchor: ${node.source}`);
    return toValue(target, walk, depth + 1, node.range?.[0] ?? fallbackAt, true);
  }
  if (!insideAlias && isNode(node) && node.anchor !== undefined) anchors.set(node.anchor, node);
  if (isScalar(node)) return scalar(node.value, node.source, node.range?.[0] ?? fallbackAt);
  if (isSeq(node)) {
    const at = node.range?.[0] ?? fallbackAt;
    return {
      kind: 'list',
      at,
      items: node.items.map((item) => toValue(item, walk, depth + 1, at, insideAlias)),
    };
  }
  if (isMap(node)) {
    const at = node.range?.[0] ?? fallbackAt;
    const fields = new Map<string, { at: number; value: Value }>();
    for (const pair of node.items) {
      const key = toValue(pair.key, walk, depth + 1, at, insideAlias);
      if (key.kind === 'list' || key.kind === 'map') throw new YamlRefusal(key.at, 'a key must be a text');
      const name =
        key.kind === 'text' || key.kind === 'number'
          ? key.text
          : String(key.kind === 'null' ? '' : key.value);
      if (name === '<<')
        throw new YamlRefusal(key.at, 'merge keys (<<) are not supported; repeat the fields');
      if (fields.has(name)) throw new YamlRefusal(key.at, `the key "${name}" stands twice`);
      fields.set(name, {
        at: key.at,
        value: toValue(pair.value, walk, depth + 1, key.at, insideAlias),
      });
    }
    return { kind: 'map', at, fields };
  }
  throw new YamlRefusal(fallbackAt, 'unexpected YAML content');
}

function scalar(value: unknown, source: string | undefined, at: number): Value {
  if (typeof value === 'string') return { kind: 'text', at, text: value };
  if (typeof value === 'boolean') return { kind: 'boolean', at, value };
  if (typeof value === 'number' || typeof value === 'bigint') {
    return { kind: 'number', at, value: Number(value), text: source ?? String(value) };
  }
  if (value === null) return { kind: 'null', at };
  throw new YamlRefusal(at, 'only texts, numbers, true, false and null are allowed as values');
}

/** Offset of the first flow bracket or indentation step beyond the depth limit: the parser below recurses. */
function tooDeep(text: string, limits: YamlLimits): number | null {
  let brackets = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5b || code === 0x7b) brackets++;
    else if ((code === 0x5d || code === 0x7d) && brackets > 0) brackets--;
    if (brackets > 4 * limits.depth) return i;
    if (code === 0x0a) {
      let dashes = 0;
      let column = i + 1;
      while (text[column] === ' ' || text[column] === '-' || text[column] === '?') {
        if (text[column] !== ' ') dashes++;
        column++;
        if (dashes > limits.depth && text[column] === ' ') return column;
      }
    }
  }
  return null;
}
