import { isIP } from 'node:net';
import type { Flow, L7Request, PeerRef } from '@weir/l7-policy';

/** A question for `weir policy explain`, as the command line and the API carry it. */
export interface FlowQuery {
  /** A workload's name, an IP address, or labels separated by commas. */
  readonly from: string;
  readonly to: string;
  /** `PORT` or `PORT/PROTOCOL`; TCP when left out. */
  readonly port: string;
  /** `METHOD PATH`. */
  readonly http?: string;
  /** `name: value`, each. */
  readonly headers?: readonly string[];
  /** `package.Service/Method`. */
  readonly grpc?: string;
  readonly dns?: string;
}

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPV6: 58 };

/** The flow a query asks about. Throws an Error that names the word which cannot be understood. */
export function parseFlowQuery(value: unknown): Flow {
  const query: Partial<Record<string, unknown>> =
    typeof value === 'object' && value !== null ? { ...value } : {};
  const word = (name: string): string | undefined => {
    const found = query[name];
    if (found === undefined || typeof found === 'string') return found;
    throw new Error(`\`${name}\` must be text`);
  };
  const { port, protocol } = parsePort(word('port') ?? '');
  return {
    from: parsePeer('from', word('from')),
    to: parsePeer('to', word('to')),
    port,
    protocol,
    request: parseRequest(word('http'), headersOf(query['headers']), word('grpc'), word('dns')),
    direction: null,
  };
}

function parsePeer(name: string, text: string | undefined): PeerRef {
  if (text === undefined || text === '')
    throw new Error(`--${name} is needed: a workload, an address, or labels`);
  if (isIP(text) !== 0) return { kind: 'address', address: text };
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

function parseRequest(
  http: string | undefined,
  headers: readonly (readonly [string, string])[],
  grpc: string | undefined,
  dns: string | undefined,
): L7Request | null {
  if ([http, grpc, dns].filter((word) => word !== undefined).length > 1) {
    throw new Error('at most one of --http, --grpc and --dns can be asked about');
  }
  if (grpc !== undefined) {
    const [, service, method] = /^\/?([^/]+)\/([^/]+)$/.exec(grpc) ?? [];
    if (service === undefined || method === undefined)
      throw new Error(`--grpc ${grpc}: expected package.Service/Method`);
    return { kind: 'grpc', service, method };
  }
  if (dns !== undefined) return { kind: 'dns', name: dns };
  if (http === undefined) return null;
  const [, method, path] = /^(\S+)\s+(\S+)$/.exec(http.trim()) ?? [];
  if (method === undefined || path === undefined)
    throw new Error(`--http '${http}': expected 'METHOD /path'`);
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1] ?? '';
  return { kind: 'http', method, path, host, headers };
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
