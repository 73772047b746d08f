import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket, Server as TlsServer } from 'node:tls';
import type { Peer } from './client.ts';
import type { StatusSource } from './client-status.ts';
import type { Clock } from './clock.ts';
import type { Variant } from './events.ts';
import { type Connection, createConnection, greeting } from './http2/connection.ts';
import {
  acceptCall,
  type CallReader,
  type GrpcCall,
  type GrpcMethod,
  responseHeaders,
} from './http2/grpc-call.ts';
import { createFirstBlocks } from './http2/hpack.ts';
import type { Limits } from './limits.ts';
import type { ListenAddress, Listening } from './server.ts';
import { type DiscoveryMethod, discoveryMethods } from './services.ts';
import { statusMethods } from './status-service.ts';
import { type EndStatus, type Session, statusCode, type Transport } from './transport.ts';

/** An open listener. */
export interface ListenerSocket {
  readonly listening: Listening;
  /** Tells every client to open no more streams here. */
  readonly drain: () => void;
  readonly close: () => Promise<void>;
}

export interface GrpcOptions {
  readonly open: (transport: Transport) => Session;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly status: StatusSource;
}

/** Connections that wait to be accepted: a fleet that comes back at once should not have to try again. */
const backlog = 4_096;
/** How long a client may take to read the status of its streams when the listener closes. */
const unwrittenMs = 1_000;

/** Serves every discovery service on one address. Messages pass as bytes; sessions read and write them. */
export async function listenGrpc(address: ListenAddress, options: GrpcOptions): Promise<ListenerSocket> {
  const { limits, clock } = options;
  const methods = new Map<string, GrpcMethod>([
    ...discoveryMethods.map(
      (method) => [`/${method.service}/${method.method}`, discovery(method, options.open)] as const,
    ),
    ...statusMethods(options.status),
  ]);
  const connections = new Map<Socket, Connection>();
  /** Those at their TLS handshake. */
  const handshakes = new Set<Socket>();
  const shared = {
    streams: limits.streams,
    greeting: greeting(limits.streams),
    responseHeaders,
    firstBlocks: createFirstBlocks(),
    soon: createAfterTurns(),
  };
  const accept = (socket: Socket): void => {
    const peer = peerOf(socket);
    const connection = createConnection(socket, {
      ...shared,
      accept: (stream, headers) =>
        acceptCall(stream, headers, { methods, peer, clock, requestBytes: limits.requestBytes }),
    });
    connections.set(socket, connection);
    socket.on('close', () => connections.delete(socket));
  };
  const server = serverOf(address, limits, accept);
  if (server instanceof TlsServer) {
    server.on('connection', (socket: Socket) => {
      handshakes.add(socket);
      socket.on('close', () => handshakes.delete(socket));
    });
  }
  server.maxConnections = limits.streams;
  if (address.kind === 'unix') await rm(address.path, { force: true });
  const port = await bind(server, address);
  if (address.kind === 'unix') await chmod(address.path, address.mode ?? 0o600);
  // A connection without a stream is of no use; what has none is closed at the second tick.
  let cancelTick: () => void;
  const tick = (): void => {
    cancelTick = clock.after(limits.keepaliveMs, tick);
    for (const connection of connections.values()) connection.tick();
  };
  cancelTick = clock.after(limits.keepaliveMs, tick);
  return Object.freeze({
    listening: Object.freeze({ address, port }),
    drain: () => {
      for (const connection of connections.values()) connection.drain();
    },
    close: async () => {
      cancelTick();
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const connection of connections.values()) connection.close();
      const cancel = clock.after(unwrittenMs, () => {
        for (const socket of [...connections.keys(), ...handshakes]) socket.destroy();
      });
      await closed;
      cancel();
      if (address.kind === 'unix') await rm(address.path, { force: true });
    },
  });
}

/** Calls back after those that asked for a turn while the same input was read. */
function createAfterTurns(): (callback: () => void) => void {
  let due: (() => void)[] = [];
  function run(): void {
    const now = due;
    due = [];
    for (const callback of now) callback();
  }
  return (callback) => {
    // Turns are given in the same phase, and may have been asked for later: hence a phase more.
    if (due.push(callback) === 1) setImmediate(() => setImmediate(run));
  };
}

function serverOf(address: ListenAddress, limits: Limits, accept: (socket: Socket) => void): Server {
  if (address.kind === 'unix' || address.tls === undefined) return createServer({ noDelay: true }, accept);
  const { key, certificate, clientCa } = address.tls;
  const options = {
    key: Buffer.from(key),
    cert: Buffer.from(certificate),
    ...(clientCa === undefined ? {} : { ca: Buffer.from(clientCa) }),
    requestCert: clientCa !== undefined,
    rejectUnauthorized: clientCa !== undefined,
    ALPNProtocols: ['h2'],
    handshakeTimeout: limits.firstRequestMs,
    noDelay: true,
  };
  try {
    const server = createTlsServer(options, accept);
    // The client's fault: its socket is closed already.
    server.on('tlsClientError', () => undefined);
    return server;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`cannot speak TLS on ${nameOf(address)}: ${reason}`, { cause: error });
  }
}

function bind(server: Server, address: ListenAddress): Promise<number> {
  const at = address.kind === 'unix' ? { path: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve, reject) => {
    server.on('error', (error) => {
      reject(new Error(`cannot listen on ${nameOf(address)}: ${error.message}`, { cause: error }));
    });
    server.listen({ ...at, backlog }, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
    });
  });
}

function nameOf(address: ListenAddress): string {
  return address.kind === 'unix' ? address.path : hostAndPort(address.host, address.port);
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

function discovery({ variant, typeUrl }: DiscoveryMethod, open: GrpcOptions['open']): GrpcMethod {
  return (call) => new DiscoveryCall(call, variant, typeUrl, open);
}

/** A session and the call that carries it. */
class DiscoveryCall implements Transport, CallReader {
  readonly variant: Variant;
  readonly typeUrl: string | null;
  readonly peer: Peer;
  private readonly call: GrpcCall;
  private readonly session: Session;

  constructor(call: GrpcCall, variant: Variant, typeUrl: string | null, open: GrpcOptions['open']) {
    this.call = call;
    this.variant = variant;
    this.typeUrl = typeUrl;
    this.peer = call.peer;
    this.session = open(this);
  }

  send(parts: readonly Uint8Array[]): void {
    this.call.send(parts);
  }

  end(status: EndStatus): void {
    this.call.end(status);
  }

  message(bytes: Uint8Array): void {
    this.session.receive(bytes);
  }

  allRead(): void {
    this.session.allReceived();
  }

  ended(): void {
    this.session.closed('ended by the client');
    this.call.end({ code: statusCode.ok, details: '' });
  }

  gone(reason: string): void {
    this.session.closed(reason);
  }
}

function peerOf(socket: Socket): Omit<Peer, 'metadata'> {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.raw : undefined;
  const { remoteAddress, remotePort } = socket;
  const address = remoteAddress === undefined ? 'unix' : hostAndPort(remoteAddress, remotePort ?? 0);
  return { address, certificate: certificate ?? null };
}
