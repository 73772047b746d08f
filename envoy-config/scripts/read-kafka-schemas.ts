import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A field of a message, with versions as [first, last]. */
export interface SchemaField {
  readonly name: string;
  /** As in Kafka's schemas: int16, string, []int32, []Name, Name, … */
  readonly type: string;
  readonly versions: VersionRange;
  readonly nullable?: VersionRange;
  readonly tag?: number;
  readonly default?: string;
  /** What a text is: topicName, groupId, … */
  readonly entity?: string;
  /** Fields of a structure, or of the elements of an array of structures. */
  readonly fields?: readonly SchemaField[];
}

export type VersionRange = readonly [first: number, last: number];

export interface SchemaMessage {
  /** The first flexible version; null where there is none. */
  readonly flexible: number | null;
  readonly fields: readonly SchemaField[];
}

/** Versions of an API that one pair of schemas describes. */
export interface SchemaRange {
  readonly apiKey: number;
  readonly name: string;
  readonly versions: VersionRange;
  /** The release whose schemas these are. */
  readonly release: string;
  /** Kinds of servers that answer it; empty for those of before Kafka 4. */
  readonly listeners: readonly string[];
  readonly request: SchemaMessage;
  readonly response: SchemaMessage;
}

/** No last version. */
export const forever = 32_767;

interface RawField {
  readonly name: string;
  readonly type: string;
  readonly versions: string;
  readonly nullableVersions?: string;
  readonly taggedVersions?: string;
  readonly tag?: number;
  readonly default?: unknown;
  readonly entityType?: string;
  readonly fields?: readonly RawField[];
}

interface RawMessage {
  readonly apiKey?: number;
  readonly type: string;
  readonly name: string;
  readonly listeners?: readonly string[];
  readonly validVersions: string;
  readonly flexibleVersions?: string;
  readonly latestVersionUnstable?: boolean;
  readonly fields: readonly RawField[];
  readonly commonStructs?: readonly RawField[];
}

/**
 * Every API that a release's schemas know, by key. Versions that the release calls unstable are left out, unless
 * `unstable`.
 */
export function readRelease(folder: string, release: string, unstable: boolean): Map<number, SchemaRange> {
  const messages = readdirSync(folder)
    .filter((file) => /(Request|Response)\.json$/.test(file))
    .map((file): RawMessage => JSON.parse(withoutComments(readFileSync(join(folder, file), 'utf8'))));
  const found = new Map<number, SchemaRange>();
  for (const request of messages) {
    const { apiKey } = request;
    if (request.type !== 'request' || apiKey === undefined || request.validVersions === 'none') continue;
    const response = messages.find((each) => each.type === 'response' && each.apiKey === apiKey);
    if (response === undefined) throw new Error(`${request.name}: no response`);
    const [first, last] = range(request.validVersions) ?? [0, -1];
    const stable = request.latestVersionUnstable === true && !unstable ? last - 1 : last;
    if (stable < first) continue;
    found.set(apiKey, {
      apiKey,
      name: request.name.replace(/Request$/, ''),
      versions: [first, stable],
      release,
      listeners: request.listeners ?? [],
      request: message(request, [first, stable]),
      response: message(response, [first, stable]),
    });
  }
  return found;
}

function withoutComments(text: string): string {
  return text.replace(/^\s*\/\/.*$/gm, '').replace(/\s\/\/ .*$/gm, '');
}

function message(raw: RawMessage, versions: VersionRange): SchemaMessage {
  const flexible = range(raw.flexibleVersions ?? 'none');
  const structs = new Map((raw.commonStructs ?? []).map(({ name, fields }) => [name, fields]));
  return { flexible: flexible?.[0] ?? null, fields: fieldsOf(raw.fields, structs, versions) };
}

function fieldsOf(
  raw: readonly RawField[],
  structs: ReadonlyMap<string, readonly RawField[] | undefined>,
  wanted: VersionRange,
): readonly SchemaField[] {
  return raw.flatMap((field): readonly SchemaField[] => {
    const versions = range(field.versions);
    if (versions === null || versions[0] > wanted[1] || versions[1] < wanted[0]) return [];
    const tagged = range(field.taggedVersions ?? 'none');
    if (tagged !== null && tagged[0] > versions[0])
      throw new Error(`${field.name}: tagged in some versions only`);
    const nullable = range(field.nullableVersions ?? 'none');
    const inner = field.fields ?? structs.get(field.type.replace(/^\[\]/, ''));
    return [
      {
        name: field.name,
        type: field.type,
        versions,
        ...(nullable !== null && { nullable }),
        ...(field.tag !== undefined && { tag: field.tag }),
        ...(field.default !== undefined && { default: String(field.default).trim() }),
        ...(field.entityType !== undefined && { entity: field.entityType }),
        ...(inner !== undefined && { fields: fieldsOf(inner, structs, wanted) }),
      },
    ];
  });
}

/** `3-7`, `3+`, `3`; null for `none`. */
function range(text: string): VersionRange | null {
  if (text === 'none') return null;
  const [, first, more] = /^(\d+)(\+|-\d+)?$/.exec(text.trim()) ?? [];
  if (first === undefined) throw new Error(`no versions: ${text}`);
  const last = more === undefined ? first : more === '+' ? forever : more.slice(1);
  return [Number(first), Number(last)];
}
