import { type FileRegistry, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { isMap, isNode, isSeq, LineCounter, type Node, parseAllDocuments, visit } from 'yaml';
import { encodedResource, type Resource } from './resource.ts';

/** Something wrong in a file, and where. Lines and columns count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export type ParsedFile =
  | { readonly kind: 'good'; readonly resources: readonly Resource[]; readonly places: readonly Place[] }
  | { readonly kind: 'bad'; readonly problems: readonly Problem[] };

/** Where a resource of the same index begins. */
export type Place = Pick<Problem, 'line' | 'column'>;

const wrapper = 'envoy.service.discovery.v3.Resource';

/**
 * The resources of one JSON or YAML file: canonical proto JSON with `@type`, one to a document or a
 * `resources:` list. A `Resource` around one sets its name and TTL. One error makes the whole file bad.
 */
export function parseResourceFile(file: string, text: string, types: FileRegistry): ParsedFile {
  const lines = new LineCounter();
  const problems: Problem[] = [];
  const resources: Resource[] = [];
  const places: Place[] = [];
  const seen = new Set<string>();
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const report = (place: Place, message: string): void => {
    problems.push({ file, ...place, message });
  };
  for (const document of parseAllDocuments(text, { lineCounter: lines })) {
    for (const error of document.errors) {
      report(
        at(error.pos[0]),
        error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? '',
      );
    }
    if (document.errors.length > 0 || document.contents === null) continue;
    for (const node of resourceNodes(document.contents)) {
      const start = node.range?.[0] ?? 0;
      try {
        const resource = decode(node.toJS(document), types);
        const key = `${resource.typeUrl}\0${resource.name}`;
        if (seen.has(key))
          report(at(start), `${resource.typeUrl} ${JSON.stringify(resource.name)} stands here twice`);
        seen.add(key);
        resources.push(resource);
        places.push(at(start));
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        report(at(offsetOf(node, message) ?? start), message);
      }
    }
  }
  return problems.length > 0 ? { kind: 'bad', problems } : { kind: 'good', resources, places };
}

function resourceNodes(contents: Node): readonly Node[] {
  const list = isMap(contents) && !contents.has('@type') ? contents.get('resources', true) : undefined;
  if (!isSeq(list)) return [contents];
  return list.items.filter(isNode);
}

function decode(value: unknown, types: FileRegistry): Resource {
  const { typeUrl, typeName, body } = typed(value);
  if (typeName === wrapper) {
    const { name, ttl, resource } = body;
    const inner = decode(resource, types);
    return encodedResource({ ...inner, ...(typeof name === 'string' ? { name } : {}), ttlMs: ttlMs(ttl) });
  }
  const schema = types.getMessage(typeName);
  if (schema === undefined) throw new Error(`@type "${typeUrl}" is unknown`);
  const message = fromJson(schema, asJson(body), { registry: types });
  const { name: ownName, cluster_name: snake, clusterName: camelCase } = body;
  const name = ownName ?? snake ?? camelCase;
  if (typeof name !== 'string' || name === '') throw new Error(`${typeName} needs a name`);
  return encodedResource({
    typeUrl: `type.googleapis.com/${typeName}`,
    name,
    value: toBinary(schema, message),
  });
}

interface Typed {
  readonly typeUrl: string;
  readonly typeName: string;
  readonly body: Record<string, unknown>;
}

function typed(value: unknown): Typed {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error('a resource is a mapping with "@type"');
  }
  const { '@type': type, ...body }: { '@type'?: unknown; [key: string]: unknown } = { ...value };
  if (typeof type !== 'string')
    throw new Error('a resource needs "@type", such as type.googleapis.com/envoy.config.cluster.v3.Cluster');
  return { typeUrl: type, typeName: type.slice(type.lastIndexOf('/') + 1), body };
}

/** What YAML reads beyond JSON (dates, maps with odd keys, NaN) does not come through. */
function asJson(value: unknown): JsonValue {
  const copy: JsonValue = JSON.parse(JSON.stringify(value));
  return copy;
}

function ttlMs(ttl: unknown): number | null {
  if (ttl === undefined) return null;
  const seconds = typeof ttl === 'string' ? /^(\d+(?:\.\d+)?)s$/.exec(ttl)?.[1] : undefined;
  if (seconds === undefined) throw new Error('field "ttl" is a duration such as "30s"');
  return Number(seconds) * 1_000;
}

/** Where the name that an error quotes stands: the decoder does not know of lines. */
function offsetOf(node: Node, message: string): number | null {
  const quoted = [...message.matchAll(/"([^"]+)"/g)].map((match) => match[1]);
  const field = /field [\w.]*?(\w+) from JSON/.exec(message)?.[1];
  const words = new Set([...quoted, field, field === undefined ? undefined : camel(field)]);
  let found: number | null = null;
  visit(node, {
    Scalar: (_, { value, range }) => {
      const text = typeof value === 'string' ? value : '';
      const named = words.has(text) || (text.length > 3 && text.includes('/') && message.includes(text));
      if (!named || range === null || range === undefined) return undefined;
      found = range[0];
      return visit.BREAK;
    },
  });
  return found;
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
