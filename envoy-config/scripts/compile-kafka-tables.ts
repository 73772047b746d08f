import { kafkaApiClass, kafkaClassNumber } from '@weir/l7-policy';
import * as layout from '../kafka-filter/layout.ts';
import * as notes from './kafka-api-notes.ts';
import { forever, type SchemaField, type SchemaMessage, type SchemaRange } from './read-kafka-schemas.ts';

/** The tables as numbers: APIs, structures, fields, each with a fixed stride (kafka-filter/layout.ts). */
export interface KafkaTables {
  readonly apis: readonly number[];
  readonly structs: readonly number[];
  readonly fields: readonly number[];
}

/** A field on its way into the tables. */
interface Node {
  readonly source: SchemaField;
  readonly children: readonly Node[];
  mark: number;
  link: number;
  flags: number;
}

/** Compiles schemas, in the order of their API keys and versions. */
export function compileTables(ranges: readonly SchemaRange[]): KafkaTables {
  const apis: number[] = [];
  const structs: number[] = [];
  const fields: number[] = [];
  const known = new Map<string, number>();

  /** The number of a structure; equal ones are held once. */
  function structOf(nodes: readonly Node[]): number {
    const records = nodes.map(record);
    const key = JSON.stringify(records);
    const found = known.get(key);
    if (found !== undefined) return found;
    const number = structs.length / layout.STRUCT_STRIDE;
    structs.push(fields.length / layout.FIELD_STRIDE, records.length);
    fields.push(...records.flat());
    known.set(key, number);
    return number;
  }

  function record(node: Node): readonly number[] {
    const { type, versions, nullable, tag } = node.source;
    const element = type.replace(/^\[\]/, '');
    const array = element !== type;
    const inner = node.children.length > 0 ? structOf(node.children) : 0;
    return [
      array ? layout.TYPE_ARRAY : typeOf(element),
      array ? typeOf(element) : 0,
      inner,
      ...versions,
      ...(nullable ?? [1, 0]),
      tag ?? -1,
      node.mark,
      node.link,
      defaultOf(node.source),
      node.flags,
    ];
  }

  for (const range of ranges) {
    const { apiKey, versions, request, response } = range;
    const apiClass = kafkaApiClass(apiKey);
    if (request.flexible !== response.flexible && apiKey !== 18)
      throw new Error(`${range.name}: request and response become flexible in different versions`);
    const [asked, answered] = [nodes(range, request, 'request'), nodes(range, response, 'response')];
    createLinker(apiKey).link(answered, asked);
    const flags =
      (apiClass === 'filtered' || apiClass === 'session' ? layout.FLAG_ANY_RULE : 0) |
      (notes.filtered.includes(apiKey) ? layout.FLAG_FILTERED : 0) |
      (notes.learnt.includes(apiKey) ? layout.FLAG_LEARNT : 0) |
      (notes.partial.includes(apiKey) ? layout.FLAG_PARTIAL : 0);
    apis.push(
      apiKey,
      ...versions,
      request.flexible ?? forever,
      structOf(asked),
      structOf(answered),
      kafkaClassNumber(apiKey),
      notes.refusalError(apiKey, apiClass),
      flags,
      Math.min(...ranges.filter((each) => each.apiKey === apiKey).map((each) => each.versions[0])),
    );
  }
  return { apis, structs, fields };
}

function nodes(
  { apiKey }: SchemaRange,
  message: SchemaMessage,
  kind: 'request' | 'response',
): readonly Node[] {
  const build = (fields: readonly SchemaField[], path: string, asked: boolean): readonly Node[] =>
    fields.map((source) => {
      const here = `${path}.${source.name}`;
      const counts = asked && !notes.unasked.includes(here);
      return {
        source,
        children: build(source.fields ?? [], here, counts),
        mark: counts || kind === 'response' ? markOf(apiKey, source, here, kind) : 0,
        link: 0,
        flags: 0,
      };
    });
  return build(message.fields, String(apiKey), true);
}

function markOf(
  apiKey: number,
  { name, type, entity }: SchemaField,
  path: string,
  kind: 'request' | 'response',
): number {
  if (entity === 'topicName') return layout.MARK_TOPIC;
  if (name === 'TopicId') return layout.MARK_TOPIC_ID;
  if ([32, 33, 44].includes(apiKey)) {
    if (name === 'ResourceType') return layout.MARK_RESOURCE_TYPE;
    if (name === 'ResourceName') return layout.MARK_RESOURCE_NAME;
  }
  if (/Regex$/.test(name) && type.endsWith('string')) return layout.MARK_PATTERN;
  if (path === '0.Acks') return layout.MARK_ACKS;
  if (path === '1.SessionId') return layout.MARK_SESSION_ID;
  if (path === '1.SessionEpoch' || path === '78.ShareSessionEpoch' || path === '79.ShareSessionEpoch')
    return layout.MARK_SESSION_EPOCH;
  if (kind === 'request') return 0;
  if (name === 'ErrorCode' || name === 'PartitionErrorCode') return layout.MARK_ERROR;
  if (path === '18.ApiKeys.ApiKey') return layout.MARK_API_KEY;
  if (path === '18.ApiKeys.MinVersion') return layout.MARK_MIN_VERSION;
  if (path === '18.ApiKeys.MaxVersion') return layout.MARK_MAX_VERSION;
  return 0;
}

/** Ties the parts of a response that repeat the request to the parts of the request. */
function createLinker(apiKey: number) {
  let last = 0;

  function tie(response: Node, request: Node): void {
    if (request.link === 0) request.link = ++last;
    response.link = request.link;
  }

  function link(answered: readonly Node[], asked: readonly Node[], repeated = false): void {
    for (const node of answered) {
      if (!isArray(node) || node.children.length === 0) continue;
      const wanted = notes.answers[apiKey]?.[node.source.name] ?? [node.source.name];
      const sources = [...asked, ...inside(asked)].filter(
        (each) => wanted.includes(each.source.name) && isArray(each),
      );
      if (sources.length === 0 || !(repeated || hasError(node))) {
        if (notes.lone[apiKey] === node.source.name) node.flags |= layout.FIELD_LONE;
        continue;
      }
      for (const source of sources) {
        if (node.link === 0) tie(node, source);
        else source.link = node.link;
        if (source.children.length > 0) linkElements(node.children, source.children);
        else repeatElement(node.children, source);
      }
    }
    for (const node of answered) {
      if (node.mark !== layout.MARK_ERROR) continue;
      if (answered.some((each) => each.link !== 0 && isArray(each) && hasError(each)))
        node.flags |= layout.FIELD_ERROR_IF_ALONE;
    }
  }

  function linkElements(answered: readonly Node[], asked: readonly Node[]): void {
    for (const node of answered) {
      if (isArray(node) || node.children.length > 0 || node.source.tag !== undefined) continue;
      const source = asked.find((each) => !isArray(each) && sameMeaning(node.source, each.source));
      if (source !== undefined) tie(node, source);
    }
    link(answered, asked, true);
  }

  function repeatElement(answered: readonly Node[], source: Node): void {
    const node = answered.find(
      (each) =>
        `[]${each.source.type}` === source.source.type &&
        (each.source.entity === undefined
          ? notes.repeats.includes(each.source.name)
          : each.source.entity === source.source.entity),
    );
    // A field that repeats an element here and a structure's field in other versions has that one's link.
    if (node !== undefined && node.link === 0) node.link = layout.LINK_ELEMENT;
    link(answered, []);
  }

  function inside(asked: readonly Node[]): readonly Node[] {
    const found = asked.find((each) => each.source.name === notes.outer[apiKey]);
    if (found === undefined) return [];
    found.flags |= layout.FIELD_OUTER;
    return found.children;
  }

  return { link };
}

function sameMeaning(one: SchemaField, other: SchemaField): boolean {
  if (one.type !== other.type) return false;
  if (one.name === other.name) return true;
  if (one.entity === 'topicName' && other.entity === 'topicName') return true;
  return notes.alike.some((names) => names.includes(one.name) && names.includes(other.name));
}

function isArray({ source }: Node): boolean {
  return source.type.startsWith('[]');
}

function hasError(node: Node): boolean {
  return node.children.some((each) => each.mark === layout.MARK_ERROR || (isArray(each) && hasError(each)));
}

function typeOf(type: string): number {
  switch (type) {
    case 'bool':
    case 'int8':
      return 1;
    case 'int16':
    case 'uint16':
      return 2;
    case 'int32':
    case 'uint32':
      return 4;
    case 'int64':
    case 'float64':
      return 8;
    case 'uuid':
      return layout.TYPE_UUID;
    case 'string':
      return layout.TYPE_TEXT;
    case 'bytes':
    case 'records':
      return layout.TYPE_BYTES;
    default:
      if (!/^[A-Z]/.test(type)) throw new Error(`unknown type ${type}`);
      return layout.TYPE_STRUCT;
  }
}

function defaultOf({ default: text, type }: SchemaField): number {
  if (text === undefined || text === '') return 0;
  if (text === 'null') return 1;
  if (text === 'true' || text === 'false') return text === 'true' ? 1 : 0;
  if (type === 'string') throw new Error(`a text by default: ${text}`);
  const value = BigInt(text);
  // Only tagged fields have more, and a filter never writes those.
  return Number(BigInt.asIntN(32, value));
}

/** The file that holds the tables, in the text form that kafka-filter/schema.ts reads. */
export function tablesSource({ apis, structs, fields }: KafkaTables): string {
  return `// Generated by envoy-config/scripts/refresh-kafka from Kafka's message schemas; layout.ts says what the numbers are.

export const apiTable: string =
  '${text(apis)}';

export const structTable: string =
  '${text(structs)}';

export const fieldTable: string =
  '${text(fields)}';
`;
}

/**
 * A number as one character where it is small, as `!` and eight hex digits elsewhere. In one line each: AssemblyScript
 * would join lines whenever a VM starts, for 3 ms and 8 MiB.
 */
function text(values: readonly number[]): string {
  const digits = values.map((value) => {
    if (value === -1) return '~';
    if (value === forever) return '}';
    if (value >= 0 && value < 44) return String.fromCharCode(0x30 + value);
    return `!${(value >>> 0).toString(16).padStart(8, '0')}`;
  });
  return digits.join('');
}
