import { apiKeyByName } from '../model/kafka-api.ts';
import { readYaml } from '../parse/read-yaml.ts';
import { createPlaces } from '../parse/refusals.ts';
import type { MapValue, Value } from '../parse/value.ts';
import type { NamedPort } from '../types/fact.ts';
import type { HttpRequest, L7Request } from '../types/request.ts';
import type { Direction } from '../types/subject-policy.ts';

/** One case of a policy test file, in the format that shared/conformance describes. */
export interface PolicyTestCase {
  readonly name: string;
  readonly line: number;
  readonly uncertain: boolean;
  readonly enforcement: 'default' | 'always' | 'never';
  readonly nodeSelectorLabels: boolean;
  readonly endpoints: readonly TestEndpoint[];
  readonly services: readonly TestService[];
  readonly secrets: ReadonlyMap<string, string>;
  readonly dns: ReadonlyMap<string, readonly string[]>;
  readonly policies: string;
  readonly probes: readonly Probe[];
  /** Fragments of the errors that must come; null: none is expected. */
  readonly errors: readonly string[] | null;
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

/** A test file that is not in the format. */
export class PolicyTestFileError extends Error {
  override readonly name = 'PolicyTestFileError';
}

/** Reads a test file. Throws `PolicyTestFileError` with file:line:column for what is not in the format. */
export function readPolicyTests(text: string, file: string): readonly PolicyTestCase[] {
  const place = createPlaces(text);
  const fail = (at: number, message: string): never => {
    const { line, column } = place(at);
    throw new PolicyTestFileError(`${file}:${line}:${column}: ${message}`);
  };
  const yaml = readYaml(text);
  const [problem] = yaml.problems;
  if (problem !== undefined) fail(problem.at, problem.message);
  const reader = createReader(fail, place);
  return yaml.documents.flatMap((root) => {
    const cases = reader.map(root, 'the file').fields.get('cases')?.value;
    if (cases === undefined) return fail(root.at, 'a test file has a list of cases');
    return reader.list(cases, 'cases').map((item) => readCase(reader, item));
  });
}

interface Reader {
  fail(at: number, message: string): never;
  line(at: number): number;
  map(value: Value, what: string): MapValue;
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
  return {
    fail,
    line: (at) => place(at).line,
    map,
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

function readCase(reader: Reader, value: Value): PolicyTestCase {
  const { fields } = reader.map(value, 'a case');
  for (const [name, field] of fields) {
    if (!caseFields.includes(name)) reader.fail(field.at, `unknown field "${name}" in a case`);
  }
  const get = (name: string) => fields.get(name)?.value;
  const config = reader.texts(get('config'), 'config');
  const enforcement = config.get('enforcement') ?? 'default';
  if (enforcement !== 'default' && enforcement !== 'always' && enforcement !== 'never') {
    return reader.fail(value.at, `config.enforcement must be default, always or never, not "${enforcement}"`);
  }
  const errors = get('errors');
  return {
    name: reader.text(get('name') ?? value, 'name'),
    line: reader.line(value.at),
    uncertain: flag(get('uncertain')),
    enforcement,
    nodeSelectorLabels: config.get('nodeSelectorLabels') === 'true',
    endpoints: reader
      .entries(get('endpoints'), 'endpoints')
      .map(([name, item]) => readEndpoint(reader, name, item)),
    services: reader.items(get('services'), 'services').map((item) => readService(reader, item)),
    secrets: reader.texts(get('secrets'), 'secrets'),
    dns: new Map(
      reader
        .entries(get('dnsCache'), 'dnsCache')
        .map(([name, list]) => [name, reader.list(list, name).map((item) => reader.text(item, name))]),
    ),
    policies: reader.text(get('policies') ?? { kind: 'text', at: 0, text: '' }, 'policies'),
    probes: reader.items(get('probes'), 'probes').map((item) => readProbe(reader, item)),
    errors:
      errors === undefined
        ? null
        : reader.list(errors, 'errors').map((item) => {
            const contains = reader.map(item, 'errors[]').fields.get('contains')?.value;
            return contains === undefined ? '' : reader.text(contains, 'contains');
          }),
  };
}

function flag(value: Value | undefined): boolean {
  return value?.kind === 'boolean' && value.value;
}

function readEndpoint(reader: Reader, name: string, value: Value): TestEndpoint {
  const { fields } = reader.map(value, `endpoint ${name}`);
  const labels = reader.texts(fields.get('labels')?.value, `${name}.labels`);
  const ports = reader.texts(fields.get('namedPorts')?.value, `${name}.namedPorts`);
  const managed = fields.get('managed')?.value;
  return {
    name,
    labels: [...labels].map(([key, text]) => `${key}=${text}`),
    addresses: reader
      .items(fields.get('ips')?.value, `${name}.ips`)
      .map((item) => reader.text(item, 'ips[]')),
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
  const { fields } = reader.map(value, 'services[]');
  const selector = fields.get('selector')?.value;
  const record = (item: Value | undefined) => Object.fromEntries(reader.texts(item, 'labels'));
  return {
    namespace: reader.text(
      fields.get('namespace')?.value ?? { kind: 'text', at: 0, text: 'default' },
      'namespace',
    ),
    name: reader.text(fields.get('name')?.value ?? value, 'name'),
    labels: record(fields.get('labels')?.value),
    selector: selector === undefined || selector.kind === 'null' ? null : record(selector),
    addresses: reader
      .items(fields.get('endpoints')?.value, 'endpoints')
      .map((item) => reader.text(item, 'endpoints[]')),
  };
}

const protocols: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

function readProbe(reader: Reader, value: Value): Probe {
  const { fields } = reader.map(value, 'a probe');
  const get = (name: string) => fields.get(name)?.value;
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
  const expected = expect === undefined ? null : reader.map(expect, 'expect').fields;
  const icmp = get('icmp');
  const icmpFields = icmp === undefined ? null : reader.texts(icmp, 'icmp');
  return {
    line: reader.line(value.at),
    from: required('from'),
    to: required('to'),
    protocol:
      icmpFields === null
        ? (protocols[text('protocol') ?? 'TCP'] ?? reader.fail(value.at, 'protocol must be TCP, UDP or SCTP'))
        : icmpFields.get('family') === 'IPv6'
          ? 58
          : 1,
    port: Number(icmpFields === null ? (text('port') ?? '0') : (icmpFields.get('type') ?? '0')),
    direction,
    request: readRequest(reader, get),
    verdict,
    headers: reader.texts(expected?.get('headers')?.value, 'expect.headers'),
    absentHeaders: reader
      .items(expected?.get('absentHeaders')?.value, 'expect.absentHeaders')
      .map((item) => reader.text(item, 'absentHeaders[]')),
  };
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
    return { kind: 'tls', serverName: reader.texts(tls, 'tls').get('sni') ?? '', inner };
  }
  if (inner !== null) return inner;
  if (dns !== undefined) return { kind: 'dns', name: reader.texts(dns, 'dns').get('name') ?? '' };
  return kafka === undefined ? null : readKafka(reader, kafka);
}

function readHttp(reader: Reader, value: Value): HttpRequest {
  const { fields } = reader.map(value, 'http');
  const text = (name: string, fallback: string) => {
    const item = fields.get(name)?.value;
    return item === undefined ? fallback : reader.text(item, name);
  };
  return {
    kind: 'http',
    method: text('method', 'GET'),
    path: text('path', '/'),
    host: text('host', ''),
    headers: [...reader.texts(fields.get('headers')?.value, 'headers')],
  };
}

function readGrpc(reader: Reader, value: Value): L7Request & { kind: 'grpc' } {
  const fields = reader.texts(value, 'grpc');
  return { kind: 'grpc', service: fields.get('service') ?? '', method: fields.get('method') ?? '' };
}

function readKafka(reader: Reader, value: Value): L7Request {
  const { fields } = reader.map(value, 'kafka');
  const text = (name: string) => {
    const item = fields.get(name)?.value;
    return item === undefined ? null : reader.text(item, name);
  };
  const key = text('apiKey') ?? '';
  const apiKey = /^\d+$/.test(key) ? Number(key) : apiKeyByName(key);
  if (apiKey === null) return reader.fail(value.at, `unknown Kafka API key "${key}"`);
  const topic = text('topic');
  const topics = reader
    .items(fields.get('topics')?.value, 'topics')
    .map((item) => reader.text(item, 'topics[]'));
  return {
    kind: 'kafka',
    apiKey,
    apiVersion: Number(text('apiVersion') ?? '0'),
    clientId: text('clientId') ?? '',
    topics: topic === null ? topics : [topic, ...topics],
  };
}
