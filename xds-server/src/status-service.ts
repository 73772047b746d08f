import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  type Server,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import {
  type ClientStatusRequest,
  ClientStatusRequestSchema,
  type ClientStatusResponse,
  ClientStatusResponseSchema,
} from '@weir/xds-ts/envoy/service/status/v3/csds';
import { clientStatus, type StatusSource } from './client-status.ts';
import { statusCode } from './transport.ts';

const service = 'envoy.service.status.v3.ClientStatusDiscoveryService';

/** Adds the client status service, so that the usual tools can ask who has what. */
export function addStatusService(server: Server, source: StatusSource): void {
  const fetch: handleUnaryCall<ClientStatusRequest, ClientStatusResponse> = ({ request }, done) => {
    const answer = answerTo(source, request);
    if (answer.kind === 'answer') done(null, answer.response);
    else done(answer.status);
  };
  const stream: handleBidiStreamingCall<ClientStatusRequest, ClientStatusResponse> = (call) => {
    call.on('data', (request: ClientStatusRequest) => {
      const answer = answerTo(source, request);
      if (answer.kind === 'answer') call.write(answer.response);
      else call.emit('error', { ...answer.status, metadata: new Metadata() });
    });
    call.on('end', () => call.end());
  };
  server.addService(
    {
      FetchClientStatus: method('FetchClientStatus', false),
      StreamClientStatus: method('StreamClientStatus', true),
    },
    { FetchClientStatus: fetch, StreamClientStatus: stream },
  );
}

type Answer =
  | { readonly kind: 'answer'; readonly response: ClientStatusResponse }
  | { readonly kind: 'refusal'; readonly status: { readonly code: number; readonly details: string } };

function answerTo(source: StatusSource, request: ClientStatusRequest): Answer {
  try {
    return { kind: 'answer', response: clientStatus(source, request) };
  } catch (error) {
    const details = error instanceof Error ? error.message : String(error);
    return { kind: 'refusal', status: { code: statusCode.invalidArgument, details } };
  }
}

function method(name: string, streams: boolean): ServiceDefinition[string] {
  return {
    path: `/${service}/${name}`,
    requestStream: streams,
    responseStream: streams,
    requestSerialize: (request: ClientStatusRequest) =>
      Buffer.from(toBinary(ClientStatusRequestSchema, request)),
    requestDeserialize: (bytes: Buffer) => fromBinary(ClientStatusRequestSchema, bytes),
    responseSerialize: (response: ClientStatusResponse) =>
      Buffer.from(toBinary(ClientStatusResponseSchema, response)),
    responseDeserialize: (bytes: Buffer) => fromBinary(ClientStatusResponseSchema, bytes),
  };
}
