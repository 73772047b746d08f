import { chmod, rm } from 'node:fs/promises';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Peer } from './client.ts';
import type { StatusSource } from './client-status.ts';
import type { Limits } from './limits.ts';
import type { ListenAddress, Listening } from './server.ts';
import { discoveryMethods } from './services.ts';
import { addStatusService } from './status-service.ts';
import type { Session, Transport } from './transport.ts';

/** An open listener. */
export interface ListenerSocket {
  readonly listening: Listening;
  readonly close: () => Promise<void>;
}

export interface GrpcOptions {
  readonly open: (transport: Transport) => Session;
  readonly limits: Limits;
  readonly status: StatusSource;
}

type Call = ServerDuplexStream<Buffer, Uint8Array>;

/** Serves every discovery service on one address. Messages pass as bytes; sessions read and write them. */
export async function listenGrpc(
  address: ListenAddress,
  { open, limits, status }: GrpcOptions,
): Promise<ListenerSocket> {
  const server = new Server({
    'grpc.max_receive_message_length': limits.requestBytes,
    'grpc.max_send_message_length': -1,
    'grpc.enable_channelz': 0,
    'grpc.max_concurrent_streams': limits.streams,
    'grpc.keepalive_time_ms': limits.keepaliveMs,
    'grpc.keepalive_timeout_ms': limits.keepaliveMs,
  });
  for (const { definition, implementation } of discoveryServices(open))
    server.addService(definition, implementation);
  addStatusService(server, status);
  if (address.kind === 'unix') await rm(address.path, { force: true });
  const port = await bind(server, address);
  if (address.kind === 'unix') await chmod(address.path, address.mode ?? 0o600);
  return Object.freeze({
    listening: Object.freeze({ address, port: address.kind === 'unix' ? 0 : port }),
    close: async () => {
      server.forceShutdown();
      if (address.kind === 'unix') await rm(address.path, { force: true });
    },
  });
}

function bind(server: Server, address: ListenAddress): Promise<number> {
  const target = address.kind === 'unix' ? `unix:${address.path}` : `${hostOf(address.host)}:${address.port}`;
  const credentials = credentialsOf(address);
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error === null) resolve(port);
      else reject(new Error(`cannot listen on ${target}: ${error.message}`));
    });
  });
}

function hostOf(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function credentialsOf(address: ListenAddress): ServerCredentials {
  if (address.kind === 'unix' || address.tls === undefined) return ServerCredentials.createInsecure();
  const { key, certificate, clientCa } = address.tls;
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  const authority = clientCa === undefined ? null : Buffer.from(clientCa);
  return ServerCredentials.createSsl(authority, [pair], clientCa !== undefined);
}

interface Service {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
}

function discoveryServices(open: GrpcOptions['open']): readonly Service[] {
  const services = new Map<
    string,
    { definition: ServiceDefinition; implementation: UntypedServiceImplementation }
  >();
  for (const { service, method, variant, typeUrl } of discoveryMethods) {
    const { definition, implementation } = services.get(service) ?? { definition: {}, implementation: {} };
    services.set(service, { definition, implementation });
    const path = `/${service}/${method}`;
    Object.assign(definition, {
      [method]: {
        path,
        requestStream: true,
        responseStream: true,
        requestSerialize: asBuffer,
        requestDeserialize: asIs,
        responseSerialize: asBuffer,
        responseDeserialize: asIs,
      },
    });
    implementation[method] = (call: Call) =>
      serve(call, (transport) => open({ ...transport, variant, typeUrl }));
  }
  return [...services.values()];
}

/** Ties one gRPC call to a session. */
function serve(call: Call, open: (transport: Pick<Transport, 'peer' | 'send' | 'end'>) => Session): void {
  const session = open({
    peer: peerOf(call),
    send: (bytes) => {
      // Who does not read is not read from either, so that nothing piles up.
      if (!call.write(bytes)) call.pause();
    },
    end: ({ code, details }) => {
      call.emit('error', { code, details, metadata: new Metadata() });
    },
  });
  call.on('drain', () => call.resume());
  call.on('data', (bytes: Buffer) => session.receive(bytes));
  call.on('cancelled', () => session.closed('cancelled by the client'));
  call.on('error', (error: Error) => session.closed(error.message));
  call.on('end', () => {
    session.closed('ended by the client');
    call.end();
  });
}

function peerOf(call: Call): Peer {
  const certificate = call.getAuthContext().sslPeerCertificate?.raw;
  const address = call.getPeer();
  // grpc-js has no name for the other end of a unix socket.
  return Object.freeze({
    address: address === 'unknown' ? 'unix' : address,
    certificate: certificate ?? null,
  });
}

function asIs(bytes: Buffer): Buffer {
  return bytes;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
