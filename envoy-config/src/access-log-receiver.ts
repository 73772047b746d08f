import { rmSync } from 'node:fs';
import {
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js';
import type { RequestRecord } from './access-record.ts';
import { requestRecords } from './decode-records.ts';
import { decodeReports } from './kafka/decode-reports.ts';
import type { KafkaReport } from './kafka/kafka-report.ts';

/** What the receiver needs from outside. */
export interface AccessLogReceiverOptions {
  /** Unix socket to listen on; a stale one of an agent that is gone is taken over. */
  readonly socketPath: string;
  /** Gets records in batches as Envoy sends them. Must not throw and should be quick. */
  readonly onRecords: (records: readonly RequestRecord[]) => void;
  /** Gets what the Kafka filter reports, likewise. */
  readonly onKafkaReports: (reports: readonly KafkaReport[]) => void;
  /** Told what went wrong on a stream; reception goes on. */
  readonly onProblem: (message: string) => void;
}

/**
 * Receives Envoy's access log. Nothing is kept here: a batch is handed on before the next is read, so a slow
 * receiver makes Envoy's small buffers fill and Envoy drop and count records (`droppedRecords`), and never
 * makes memory grow or a request wait.
 */
export interface AccessLogReceiver {
  /** Records received since the start. */
  readonly received: number;
  /** Reports that the Kafka filter dropped, because too many waited. */
  readonly droppedByFilter: number;
  /** Messages that could not be decoded. */
  readonly undecoded: number;
  /** Ends all streams and removes the socket. Envoy drops and counts what it cannot send. */
  close(): Promise<void>;
}

const method = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
/** A batch holds at most what Envoy buffers, but one entry may be as large as its request headers. */
const maxMessageBytes = 16 * 1024 * 1024;

/** Starts listening; resolves when Envoy can connect. */
export async function createAccessLogReceiver(options: AccessLogReceiverOptions): Promise<AccessLogReceiver> {
  const { socketPath, onRecords, onKafkaReports, onProblem } = options;
  let received = 0;
  let undecoded = 0;
  let droppedByFilter = 0;

  function take(message: Buffer): void {
    try {
      const records = requestRecords(message);
      received += records.length;
      onRecords(records);
    } catch (error) {
      undecoded += 1;
      onProblem(`an access log message of ${message.length} bytes is not understood: ${String(error)}`);
    }
  }

  function takeReports(message: Buffer): void {
    try {
      const { reports, dropped } = decodeReports(message);
      received += reports.length;
      droppedByFilter += dropped;
      onKafkaReports(reports);
    } catch (error) {
      undecoded += 1;
      onProblem(`a Kafka report of ${message.length} bytes is not understood: ${String(error)}`);
    }
  }

  const server = new Server({ 'grpc.max_receive_message_length': maxMessageBytes });
  server.addService(accessLogService, {
    streamAccessLogs(call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) {
      call.on('data', take);
      call.on('end', () => reply(null, Buffer.alloc(0)));
      call.on('error', (error: Error) => onProblem(`an access log stream ended: ${error.message}`));
    },
  });
  server.addService(kafkaService, {
    report(call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) {
      takeReports(call.request);
      reply(null, Buffer.alloc(0));
    },
  });
  rmSync(socketPath, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    );
  });

  return {
    get received() {
      return received;
    },
    get droppedByFilter() {
      return droppedByFilter;
    },
    get undecoded() {
      return undecoded;
    },
    async close() {
      server.forceShutdown();
      rmSync(socketPath, { force: true });
    },
  };
}

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };

/** The service by raw bytes: decoding is ours, so that a message that is not understood costs only itself. */
const accessLogService: ServiceDefinition = {
  streamAccessLogs: {
    path: method,
    requestStream: true,
    responseStream: false,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  },
};

/** Called by the Kafka filter (`kafka-filter/envoy/main.ts`). */
const kafkaService: ServiceDefinition = {
  report: {
    path: '/weir.kafka.v1.Requests/Report',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes.serialize,
    requestDeserialize: bytes.deserialize,
    responseSerialize: bytes.serialize,
    responseDeserialize: bytes.deserialize,
  },
};
