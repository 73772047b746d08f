import { apiKeyByName } from '../model/kafka-api.ts';
import { parseAddress } from '../net/prefix.ts';
import { nearest } from '../parse/fields.ts';
import { readYaml } from '../parse/read-yaml.ts';
import { createPlaces } from '../parse/refusals.ts';
import type { MapValue, Value } from '../parse/value.ts';
import { testFileLimits } from '../parse/yaml-file.ts';
import type { NamedPort } from '../types/fact.ts';
import type { HttpRequest, L7Request } from '../types/request.ts';
import type { Direction } from '../types/subject-policy.ts';

/** One case of a policy test file, in the format that shared/conformance describes. */
export interface PolicyTestCase {
  readonly kind: 'case';
  readonly name: string;
  readonly line: number;
  readonly uncertain: boolean;
  readonly enforcement: 'default' | 'always' | 'never';
  readonly nodeSelectorLabels: boolean;
  readonly endpoints: readonly TestEndpoint[];
  readonly services: readonly TestService[];
  readonly secrets: ReadonlyMap<string, string>;
  readonly dns: ReadonlyMap<string, readonly string[]>;
  readonly policies: PolicyText;
  readonly probes: readonly Probe[];
  /** Fragments of the errors that must come; null: none is expected. */
  readonly errors: readonly string[] | null;
}

/** The documents of a case, laid out so that lines and columns are those of `file`. */
export interface PolicyText {
  readonly file: string;
  readonly text: string;
}

export interface TestEndpoint {
  readonly name: string;
  readonly labels: readonly string[];
  readonly addresses: readonly string[];
  readonly namedPorts: readonly NamedPort[];
  readonly managed: boolean;
}

export interface TestService {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: Readonly<Record<string, string>> | null;
  readonly addresses: readonly string[];
}

export interface Probe {
  readonly line: number;
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly port: number;
  readonly direction: Direction | null;
  readonly request: L7Request | null;
  readonly verdict: 'allowed' | 'denied' | 'redirected';
  readonly headers: ReadonlyMap<string, string>;
  readonly absentHeaders: readonly string[];
}

/** A test file that is not in the format. `no-cases`: it is YAML, but no list of cases, so no test file at all. */
export class PolicyTestFileError extends Error {
  override readonly name = 'PolicyTestFileError';
  readonly kind: 'malformed' | 'no-cases';
  constructor(kind: 'malformed' | 'no-cases', message: string) {
    super(message);
    this.kind = kind;
  }
}

/** A case that is not in the format. */
export interface MalformedCase {
  readonly kind: 'malformed';
  readonly name: string;
  readonly line: number;
  /** With file:line:column. */
  readonly message: string;
}

/**
 * Reads a test file; a case that is not in the format leaves the others alone. Throws `PolicyTestFileError` with
 * file:line:column for a text that is no list of cases.
 */
export function readPolicyTests(text: string, file: string): readonly (PolicyTestCase | MalformedCase)[] {
  const place = createPlaces(text);
  const error = (kind: PolicyTestFileError['kind'], at: number, message: string) => {
    const { line, column } = place(at);
    return new PolicyTestFileError(kind, `${file}:${line}:${column}: ${message}`);
  };
  const fail = (at: number, message: string): never => {
    throw error('malformed', at, message);
  };
  const yaml = readYaml(text, testFileLimits);
  const [problem] = yaml.problems;
  if (problem !== undefined) fail(problem.at, problem.message);
  if (!yaml.documents.some((root) => root.kind === 'map' && root.fields.has('cases'))) {
    throw error('no-cases', 0, 'this is no test file: it has no list of cases');
  }
  const reader = createReader(fail, place);
  return yaml.documents.flatMap((root) =>
    reader
      .list(reader.fields(root, 'the file', ['cases']).get('cases') ?? root, 'cases')
      .map((item) => readCaseOrFault(reader, item, { file, text })),
  );
}

function readCaseOrFault(reader: Reader, value: Value, from: PolicyText): PolicyTestCase | MalformedCase {
  try {
    return readCase(reader, value, from);
  } catch (error) {
    if (!(error instanceof PolicyTestFileError)) throw error;
    const named = value.kind === 'map' ? value.fields.get('name')?.value : undefined;
    const name = named?.kind === 'text' ? named.text : 'a case without name';
    return { kind: 'malformed', name, line: reader.line(value.at), message: error.message };
  }
}

interface Reader {
  fail(at: number, message: string): never;
  line(at: number): number;
  /** A map's values; a field that is not in `known` is refused, or a typing error would weaken the test. */
  fields(value: Value, what: string, known: readonly string[]): ReadonlyMap<string, Value>;
  list(value: Value, what: string): readonly Value[];
  text(value: Value, what: string): string;
  /** Fields of an optional map. */
  entries(value: Value | undefined, what: string): readonly (readonly [string, Value])[];
  items(value: Value | undefined, what: string): readonly Value[];
  texts(value: Value | undefined, what: string): ReadonlyMap<string, string>;
}

function createReader(
  fail: (at: number, message: string) => never,
  place: (at: number) => { line: number },
): Reader {
  const text = (value: Value, what: string): string => {
    if (value.kind === 'text' || value.kind === 'number') return value.text;
    if (value.kind === 'boolean') return String(value.value);
    return value.kind === 'null' ? '' : fail(value.at, `${what} must be a text`);
  };
  const map = (value: Value, what: string): MapValue =>
    value.kind === 'map' ? value : fail(value.at, `${what} must be a map`);
  const list = (value: Value, what: string): readonly Value[] =>
    value.kind === 'list' ? value.items : fail(value.at, `${what} must be a list`);
  const entries = (value: Value | undefined, what: string) =>
    value === undefined || value.kind === 'null'
      ? []
      : [...map(value, what).fields].map(([key, field]) => [key, field.value] as const);
  const fields = (value: Value, what: string, known: readonly string[]) => {
    const found = map(value, what).fields;
    for (const [name, { at }] of found) {
      if (known.includes(name)) continue;
      const close = nearest(name, known);
      const hint = close === null ? `known fields: ${known.join(', ')}` : `did you mean "${close}"?`;
      fail(at, `unknown field "${name}" in ${what}; ${hint}`);
    }
    return new Map([...found].map(([name, { value: item }]) => [name, item]));
  };
  return {
    fail,
    line: (at) => place(at).line,
    fields,
    list,
    text,
    entries,
    items: (value, what) => (value === undefined || value.kind === 'null' ? [] : list(value, what)),
    texts: (value, what) =>
      new Map(entries(value, what).map(([key, item]) => [key, text(item, `${what}.${key}`)])),
  };
}

const caseFields = [
  'name',
  'source',
  'uncertain',
  'reason',
  'note',
  'config',
  'endpoints',
  'services',
  'secrets',
  'dnsCache',
  'policies',
  'probes',
  'errors',
  'accept',
  'filters',
];

function readCase(reader: Reader, value: Value, from: PolicyText): PolicyTestCase {
  const fields = reader.fields(value, 'a case', caseFields);
  const get = (name: string) => fields.get(name);
  const settings = get('config');
  if (settings !== undefined) reader.fields(settings, 'config', ['enforcement', 'nodeSelectorLabels']);
  const config = reader.texts(settings, 'config');
  const name = reader.text(get('name') ?? reader.fail(value.at, 'a case needs a name'), 'name');
  const enforcement = config.get('enforcement') ?? 'default';
  if (enforcement !== 'default' && enforcement !== 'always' && enforcement !== 'never') {
    return reader.fail(value.at, `config.enforcement must be default, always or never, not "${enforcement}"`);
  }
  const errors = get('errors');
  const endpoints = reader.entries(get('endpoints'), 'endpoints');
  const names = new Set(endpoints.map(([endpoint]) => endpoint));
  return {
    kind: 'case',
    name,
    line: reader.line(value.at),
    uncertain: flag(get('uncertain')),
    enforcement,
    nodeSelectorLabels: config.get('nodeSelectorLabels') === 'true',
    endpoints: endpoints.map(([endpoint, item]) => readEndpoint(reader, endpoint, item)),
    services: reader.items(get('services'), 'services').map((item) => readService(reader, item)),
    secrets: reader.texts(get('secrets'), 'secrets'),
    dns: new Map(
      reader
        .entries(get('dnsCache'), 'dnsCache')
        .map(([name, list]) => [name, reader.list(list, name).map((item) => reader.text(item, name))]),
    ),
    policies: readPolicies(reader, get('policies'), name, from),
    probes: reader.items(get('probes'), 'probes').map((item) => readProbe(reader, item, names)),
    errors:
      errors === undefined
        ? null
        : reader.list(errors, 'errors').map((item) => {
            const contains = reader.fields(item, 'errors[]', ['contains']).get('contains');
            return contains === undefined ? '' : reader.text(contains, 'contains');
          }),
  };
}

/**
 * A literal block keeps its lines and columns: it is moved to its place in a file of otherwise empty lines. Only
 * the marks that YAML wants at the start of a line stay there. Any other text is a file of its own.
 */
function readPolicies(reader: Reader, value: Value | undefined, name: string, from: PolicyText): PolicyText {
  if (value === undefined) return { file: from.file, text: '' };
  const text = reader.text(value, 'policies');
  if (!/^\|[-+]?[ \t]*(#|\r?\n)/.test(from.text.slice(value.at, value.at + 80)))
    return { file: `${from.file}#${name}`, text };
  const above = reader.line(value.at);
  const written = from.text.split('\n')[above] ?? '';
  const indent = written.slice(0, written.length - written.trimStart().length);
  const lines = text
    .split('\n')
    .map((line) => (line === '' || /^(---|\.\.\.|%)/.test(line) ? line : `${indent}${line}`));
  return { file: from.file, text: `${'\n'.repeat(above)}${lines.join('\n')}` };
}

function flag(value: Value | undefined): boolean {
  return value?.kind === 'boolean' && value.value;
}

function readEndpoint(reader: Reader, name: string, value: Value): TestEndpoint {
  const fields = reader.fields(value, `endpoint ${name}`, ['labels', 'ips', 'namedPorts', 'managed']);
  const labels = reader.texts(fields.get('labels'), `${name}.labels`);
  const ports = reader.texts(fields.get('namedPorts'), `${name}.namedPorts`);
  const managed = fields.get('managed');
  return {
    name,
    labels: [...labels].map(([key, text]) => `${key}=${text}`),
    addresses: reader.items(fields.get('ips'), `${name}.ips`).map((item) => reader.text(item, 'ips[]')),
    namedPorts: [...ports].map(([port, text]) => readNamedPort(reader, value.at, port, text)),
    managed: managed === undefined || managed.kind !== 'boolean' || managed.value,
  };
}

function readNamedPort(reader: Reader, at: number, name: string, text: string): NamedPort {
  const match = /^(\d+)\/(TCP|UDP|SCTP)$/.exec(text);
  const protocol = match?.[2];
  if (match === null || (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP')) {
    return reader.fail(at, `named port "${name}" must be written "80/TCP", not "${text}"`);
  }
  return { name, port: Number(match[1]), protocol };
}

function readService(reader: Reader, value: Value): TestService {
  const fields = reader.fields(value, 'services[]', ['name', 'namespace', 'labels', 'selector', 'endpoints']);
  const selector = fields.get('selector');
  const record = (item: Value | undefined) => Object.fromEntries(reader.texts(item, 'labels'));
  return {
    namespace: reader.text(fields.get('namespace') ?? { kind: 'text', at: 0, text: 'default' }, 'namespace'),
    name: reader.text(fields.get('name') ?? reader.fail(value.at, 'a service needs a name'), 'name'),
    labels: record(fields.get('labels')),
    selector: selector === undefined || selector.kind === 'null' ? null : record(selector),
    addresses: reader
      .items(fields.get('endpoints'), 'endpoints')
      .map((item) => reader.text(item, 'endpoints[]')),
  };
}

const protocols: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const probeFields = [
  'from',
  'to',
  'port',
  'protocol',
  'icmp',
  'perspective',
  'http',
  'grpc',
  'kafka',
  'dns',
  'tls',
  'verdict',
  'expect',
  'name',
  'note',
  'reason',
  'source',
];

/** An end that is nobody would be the world, and the probe would test something else. */
function readEnd(reader: Reader, text: string, at: number, names: ReadonlySet<string>): string {
  if (names.has(text) || /^reserved:[a-z0-9-]+$/.test(text)) return text;
  if (text.startsWith('ip:')) {
    return parseAddress(text.slice(3)) === null ? reader.fail(at, `"${text}" is no address`) : text;
  }
  return reader.fail(at, `no endpoint of the case is called "${text}"`);
}

function readProbe(reader: Reader, value: Value, names: ReadonlySet<string>): Probe {
  const fields = reader.fields(value, 'a probe', probeFields);
  const get = (name: string) => fields.get(name);
  const text = (name: string) => {
    const item = get(name);
    return item === undefined ? null : reader.text(item, name);
  };
  const required = (name: string) => text(name) ?? reader.fail(value.at, `a probe needs "${name}"`);
  const verdict = required('verdict');
  if (verdict !== 'allowed' && verdict !== 'denied' && verdict !== 'redirected') {
    return reader.fail(value.at, `verdict must be allowed, denied or redirected, not "${verdict}"`);
  }
  const direction = text('perspective');
  if (direction !== null && direction !== 'ingress' && direction !== 'egress') {
    return reader.fail(value.at, `perspective must be ingress or egress, not "${direction}"`);
  }
  const expect = get('expect');
  const expected =
    expect === undefined ? null : reader.fields(expect, 'expect', ['headers', 'absentHeaders']);
  const icmp = get('icmp');
  if (icmp !== undefined) reader.fields(icmp, 'icmp', ['family', 'type']);
  const icmpFields = icmp === undefined ? null : reader.texts(icmp, 'icmp');
  return {
    line: reader.line(value.at),
    from: readEnd(reader, required('from'), value.at, names),
    to: readEnd(reader, required('to'), value.at, names),
    protocol:
      icmpFields === null
        ? (protocols[text('protocol') ?? 'TCP'] ?? reader.fail(value.at, 'protocol must be TCP, UDP or SCTP'))
        : icmpFields.get('family') === 'IPv6'
          ? 58
          : 1,
    port: readNumber(
      reader,
      value.at,
      icmpFields === null ? required('port') : (icmpFields.get('type') ?? ''),
    ),
    direction,
    request: readRequest(reader, get),
    verdict,
    headers: reader.texts(expected?.get('headers'), 'expect.headers'),
    absentHeaders: reader
      .items(expected?.get('absentHeaders'), 'expect.absentHeaders')
      .map((item) => reader.text(item, 'absentHeaders[]')),
  };
}

function readNumber(reader: Reader, at: number, text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 65536;
  return number > 65535 ? reader.fail(at, `"${text}" is not a number from 0 to 65535`) : number;
}

function readRequest(reader: Reader, get: (name: string) => Value | undefined): L7Request | null {
  const http = get('http');
  const grpc = get('grpc');
  const kafka = get('kafka');
  const dns = get('dns');
  const tls = get('tls');
  const inner =
    http !== undefined ? readHttp(reader, http) : grpc !== undefined ? readGrpc(reader, grpc) : null;
  if (tls !== undefined) {
    reader.fields(tls, 'tls', ['sni']);
    return { kind: 'tls', serverName: reader.texts(tls, 'tls').get('sni') ?? '', inner };
  }
  if (inner !== null) return inner;
  if (dns !== undefined) {
    const name = reader.fields(dns, 'dns', ['name']).get('name');
    return { kind: 'dns', name: name === undefined ? '' : reader.text(name, 'dns.name') };
  }
  return kafka === undefined ? null : readKafka(reader, kafka);
}

function readHttp(reader: Reader, value: Value): HttpRequest {
  const fields = reader.fields(value, 'http', ['method', 'path', 'host', 'headers']);
  const text = (name: string, fallback: string) => {
    const item = fields.get(name);
    return item === undefined ? fallback : reader.text(item, name);
  };
  return {
    kind: 'http',
    method: text('method', 'GET'),
    path: text('path', '/'),
    host: text('host', ''),
    headers: [...reader.texts(fields.get('headers'), 'headers')],
  };
}

function readGrpc(reader: Reader, value: Value): L7Request & { kind: 'grpc' } {
  reader.fields(value, 'grpc', ['service', 'method']);
  const fields = reader.texts(value, 'grpc');
  return { kind: 'grpc', service: fields.get('service') ?? '', method: fields.get('method') ?? '' };
}

function readKafka(reader: Reader, value: Value): L7Request {
  const fields = reader.fields(value, 'kafka', ['apiKey', 'apiVersion', 'clientId', 'topic', 'topics']);
  const text = (name: string) => {
    const item = fields.get(name);
    return item === undefined ? null : reader.text(item, name);
  };
  const key = text('apiKey') ?? '';
  const apiKey = /^\d+$/.test(key) ? Number(key) : apiKeyByName(key);
  if (apiKey === null) return reader.fail(value.at, `unknown Kafka API key "${key}"`);
  const topic = text('topic');
  const topics = reader.items(fields.get('topics'), 'topics').map((item) => reader.text(item, 'topics[]'));
  return {
    kind: 'kafka',
    apiKey,
    apiVersion: Number(text('apiVersion') ?? '0'),
    clientId: text('clientId') ?? '',
    topics: topic === null ? topics : [topic, ...topics],
  };
}
