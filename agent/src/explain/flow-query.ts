import { isIP } from 'node:net';
import { apiKeyByName, type Flow, type KafkaRequest, type L7Request, type PeerRef } from '@weir/l7-policy';
import { type RawRequest, readRawRequest } from './raw-request.ts';

/** A question for `weir policy explain`, as the command line and the API carry it. */
export interface FlowQuery {
  /** A workload's name, an IP address, `reserved:NAME`, or labels separated by commas. */
  readonly from: string;
  readonly to: string;
  /** `PORT` or `PORT/PROTOCOL`; TCP when left out. */
  readonly port: string;
  /** `METHOD PATH`. */
  readonly http?: string;
  /** `name: value`, each. */
  readonly headers?: readonly string[];
  /** A raw HTTP/1 request, one character per byte. */
  readonly raw?: string;
  /** `package.Service/Method`. */
  readonly grpc?: string;
  /** `APIKEY [TOPIC…] [version=N] [client=ID]`. */
  readonly kafka?: string;
  readonly dns?: string;
  /** Server name of a TLS connection; '' when none is sent. */
  readonly sni?: string;
}

/** A query that is understood; its HTTP request is still as the client sends it. */
export interface ParsedQuery {
  readonly flow: Flow;
  readonly raw: RawRequest | null;
}

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPV6: 58 };

/** What a query asks about. Throws an Error that names the word which cannot be understood. */
export function parseFlowQuery(value: unknown): ParsedQuery {
  const query: Partial<Record<string, unknown>> =
    typeof value === 'object' && value !== null ? { ...value } : {};
  const word = (name: string): string | undefined => {
    const found = query[name];
    if (found === undefined || typeof found === 'string') return found;
    throw new Error(`\`${name}\` must be text`);
  };
  const { port, protocol } = parsePort(word('port') ?? '');
  const raw = word('raw');
  return {
    raw: raw === undefined ? null : readRawRequest(Buffer.from(raw, 'latin1')),
    flow: {
      from: parsePeer('from', word('from')),
      to: parsePeer('to', word('to')),
      port,
      protocol,
      request: parseRequest(word, headersOf(query['headers'])),
      direction: null,
    },
  };
}

function parsePeer(name: string, text: string | undefined): PeerRef {
  if (text === undefined || text === '')
    throw new Error(`--${name} is needed: a workload, an address, or labels`);
  const address = text.startsWith('ip:') ? text.slice(3) : text;
  if (isIP(address) !== 0) return { kind: 'address', address };
  if (/^reserved:[a-z0-9-]+$/.test(text)) return { kind: 'labels', labels: [text] };
  if (!text.includes('=')) return { kind: 'endpoint', id: text };
  const labels = text.split(',').map((label) => (/^[a-z0-9]+:/.test(label) ? label : `k8s:${label}`));
  return { kind: 'labels', labels };
}

function parsePort(text: string): { port: number; protocol: number } {
  const [, digits, name = 'TCP'] = /^(\d{1,5})(?:\/([A-Za-z0-9]+))?$/.exec(text) ?? [];
  const port = Number(digits);
  const protocol = PROTOCOLS[name.toUpperCase()];
  if (digits === undefined || port > 65_535 || protocol === undefined) {
    throw new Error(`--port ${text}: expected PORT or PORT/PROTOCOL, such as 80 or 53/UDP`);
  }
  return { port, protocol };
}

const requestWords = ['http', 'raw', 'grpc', 'kafka', 'dns'] as const;

function parseRequest(
  word: (name: string) => string | undefined,
  headers: readonly (readonly [string, string])[],
): L7Request | null {
  const [first, second] = requestWords.filter((name) => word(name) !== undefined);
  const option = (name: string) => (name === 'raw' ? '--file' : `--${name}`);
  if (first !== undefined && second !== undefined)
    throw new Error(`${option(first)} and ${option(second)} ask about different requests; give one of them`);
  if (headers.length > 0 && first !== 'http') throw new Error('-H needs --http');
  const sni = word('sni');
  const inner = parseInner(word, headers);
  if (sni === undefined) return inner;
  if (inner !== null && inner.kind !== 'http' && inner.kind !== 'grpc')
    throw new Error('--sni can stand beside --http and --grpc only');
  return { kind: 'tls', serverName: sni, inner };
}

function parseInner(
  word: (name: string) => string | undefined,
  headers: readonly (readonly [string, string])[],
): Exclude<L7Request, { kind: 'tls' }> | null {
  const grpc = word('grpc');
  const dns = word('dns');
  const kafka = word('kafka');
  const http = word('http');
  if (grpc !== undefined) {
    const [, service, method] = /^\/?([^/]+)\/([^/]+)$/.exec(grpc) ?? [];
    if (service === undefined || method === undefined)
      throw new Error(`--grpc ${grpc}: expected package.Service/Method`);
    return { kind: 'grpc', service, method };
  }
  if (dns !== undefined) return { kind: 'dns', name: dns };
  if (kafka !== undefined) return parseKafka(kafka);
  if (http === undefined) return null;
  const [, method, path] = /^(\S+)\s+(\S+)$/.exec(http.trim()) ?? [];
  if (method === undefined || path === undefined)
    throw new Error(`--http '${http}': expected 'METHOD /path'`);
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? '';
  return { kind: 'http', method, path, host, headers };
}

function parseKafka(text: string): KafkaRequest {
  const words = text.split(/[\s,]+/).filter((item) => item !== '');
  const setting = (name: string) =>
    words.find((item) => item.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
  const [key = '', ...topics] = words.filter((item) => !/^(version|client)=/.test(item));
  const apiKey = /^[0-9]{1,5}$/.test(key) ? Number(key) : apiKeyByName(key);
  const version = setting('version') ?? '0';
  if (apiKey === null || !/^[0-9]{1,5}$/.test(version)) {
    throw new Error(
      `--kafka '${text}': expected an API key (produce, fetch, …, or its number), topics, version=N, client=ID`,
    );
  }
  return {
    kind: 'kafka',
    apiKey,
    apiVersion: Number(version),
    clientId: setting('client') ?? '',
    topics,
  };
}

function headersOf(value: unknown): readonly (readonly [string, string])[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Error('`headers` must be a list');
  return value.map((header: unknown) => {
    const [, name, content] = /^([^:\s]+):\s*(.*)$/.exec(String(header)) ?? [];
    if (name === undefined || content === undefined)
      throw new Error(`-H '${String(header)}': expected 'name: value'`);
    return [name, content] as const;
  });
}
