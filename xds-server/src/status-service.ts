import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  ClientStatusRequestSchema,
  ClientStatusResponseSchema,
} from '@weir/xds-ts/envoy/service/status/v3/csds';
import { clientStatus, type StatusSource } from './client-status.ts';
import type { CallReader, GrpcCall, GrpcMethod } from './http2/grpc-call.ts';
import { statusCode } from './transport.ts';

const service = 'envoy.service.status.v3.ClientStatusDiscoveryService';

/** The client status service, so that the usual tools can ask who has what. */
export function statusMethods(
  source: StatusSource,
): readonly (readonly [path: string, method: GrpcMethod])[] {
  return [
    [`/${service}/FetchClientStatus`, (call) => answering(source, call, true)],
    [`/${service}/StreamClientStatus`, (call) => answering(source, call, false)],
  ];
}

function answering(source: StatusSource, call: GrpcCall, once: boolean): CallReader {
  const done = (): void => call.end({ code: statusCode.ok, details: '' });
  return {
    message: (bytes) => {
      try {
        const response = clientStatus(source, fromBinary(ClientStatusRequestSchema, bytes));
        call.send([toBinary(ClientStatusResponseSchema, response)]);
        if (once) done();
      } catch (error) {
        const details = error instanceof Error ? error.message : String(error);
        call.end({ code: statusCode.invalidArgument, details });
      }
    },
    allRead: () => undefined,
    ended: once
      ? () => call.end({ code: statusCode.invalidArgument, details: 'the call holds no request' })
      : done,
    gone: () => undefined,
  };
}
