import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { type AccessLogReceiver, createAccessLogReceiver, type RequestRecord } from '@weir/envoy-config';
import {
  type HTTPAccessLogEntrySchema,
  HTTPAccessLogEntry_HTTPVersion as HttpVersion,
} from '@weir/xds-ts/envoy/data/accesslog/v3/accesslog';
import { StreamAccessLogsMessageSchema } from '@weir/xds-ts/envoy/service/accesslog/v3/als';
import { temporaryFolder } from '../run-name.ts';
import { until } from './support/envoy-under-test.ts';

let directory: string;
let receiver: AccessLogReceiver;
let records: RequestRecord[];
let problems: string[];

const socketPath = () => join(directory, 'als.sock');

beforeEach(async () => {
  directory = temporaryFolder('als');
  records = [];
  problems = [];
  receiver = await listen();
});

afterEach(async () => {
  await receiver.close();
  assert.ok(!existsSync(socketPath()), 'the socket is gone');
  rmSync(directory, { recursive: true });
});

function listen(): Promise<AccessLogReceiver> {
  return createAccessLogReceiver({
    socketPath: socketPath(),
    onRecords: (batch) => records.push(...batch),
    onKafkaReports: () => undefined,
    onProblem: (message) => problems.push(message),
  });
}

type Entry = MessageInitShape<typeof HTTPAccessLogEntrySchema>;

function batch(...logEntry: readonly Entry[]): Buffer {
  const message = create(StreamAccessLogsMessageSchema, {
    identifier: { logName: 'weir' },
    logEntries: { case: 'httpLogs', value: { logEntry: [...logEntry] } },
  });
  return Buffer.from(toBinary(StreamAccessLogsMessageSchema, message));
}

/** Sends messages as Envoy does, on one stream, and waits until it is answered or broken. */
async function send(...messages: readonly Buffer[]): Promise<void> {
  const client = new Client(`unix:${socketPath()}`, credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  await new Promise<void>((done) => {
    const path = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
    const stream = client.makeClientStreamRequest(path, same, same, () => done());
    for (const message of messages) stream.write(message);
    stream.end();
  });
  client.close();
}

const socket = (address: string, portValue: number) =>
  ({
    address: {
      case: 'socketAddress',
      value: { address, portSpecifier: { case: 'portValue', value: portValue } },
    },
  }) as const;

const whole: Entry = {
  protocolVersion: HttpVersion.HTTP2,
  commonProperties: {
    downstreamRemoteAddress: socket('10.0.0.1', 40_000),
    downstreamLocalAddress: socket('fd00::2', 80),
    startTime: { seconds: 1_800_000_000n, nanos: 250_000_000 },
    duration: { seconds: 1n, nanos: 500_000 },
    routeName: 'egress:rule-1!x-key,x-team',
    responseFlags: { upstreamConnectionFailure: true, durationTimeout: true },
    metadata: {
      filterMetadata: {
        'envoy.filters.http.rbac': { enforced_effective_policy_id: 'rule-2', shadow: 1 },
        'weir.headers': { 'x-key': '***', 'x-team': 'blue' },
        'another.filter': { key: 'left alone' },
      },
    },
    customTags: { class: 'class-1', method: 'FROB' },
    upstreamCluster: 'left alone',
    sampleRate: 0.5,
  },
  request: { path: '/ä?b', authority: 'svc:80', requestHeadersBytes: 200n, requestBodyBytes: 5_000_000_000n },
  response: {
    responseCode: 503,
    responseCodeDetails: 'upstream_reset',
    responseHeadersBytes: 20n,
    responseBodyBytes: 3n,
  },
};

test('an entry becomes a record', async () => {
  await send(batch(whole));
  assert.deepEqual(records, [
    {
      kind: 'request',
      classId: 'class-1',
      source: { address: '10.0.0.1', port: 40_000 },
      destination: { address: 'fd00::2', port: 80 },
      startedAtMs: 1_800_000_000_250,
      durationMs: 1000.5,
      protocol: 'HTTP/2',
      method: 'FROB',
      path: '/ä?b',
      host: 'svc:80',
      status: 503,
      verdict: { kind: 'allowed', egressRule: 'rule-1', ingressRule: 'rule-2' },
      mismatches: ['x-key', 'x-team'],
      headers: { 'x-key': '***', 'x-team': 'blue' },
      details: 'upstream_reset',
      flags: ['UF', 'DT'],
      requestBytes: 5_000_000_200,
      responseBytes: 23,
    },
  ]);
});

const verdicts: readonly (readonly [string, Entry, RequestRecord['verdict']])[] = [
  [
    'rules',
    { commonProperties: { routeName: 'deny:egress-rules' } },
    { kind: 'denied', reason: 'egress-rules' },
  ],
  [
    'a path',
    { commonProperties: { routeName: 'deny:path-traversal' } },
    { kind: 'denied', reason: 'path-traversal' },
  ],
  [
    'a host',
    { commonProperties: { routeName: 'deny:malformed-host' } },
    { kind: 'denied', reason: 'malformed-host' },
  ],
  [
    'the second side',
    {
      commonProperties: { routeName: 'egress:a' },
      response: { responseCodeDetails: 'rbac_access_denied_matched_policy[none]' },
    },
    { kind: 'denied', reason: 'ingress-rules' },
  ],
  [
    'a tunnel',
    { response: { responseCodeDetails: 'upgrade_failed' } },
    { kind: 'denied', reason: 'upgrade' },
  ],
  [
    'no route',
    { response: { responseCodeDetails: 'route_not_found' } },
    { kind: 'denied', reason: 'unroutable' },
  ],
  ['a bad request', { response: { responseCodeDetails: 'http1.codec_error' } }, { kind: 'failed' }],
  ['an unknown denial', { commonProperties: { routeName: 'deny:other' } }, { kind: 'failed' }],
  [
    'a combined regex',
    { commonProperties: { routeName: 'ingress:~0123456789abcdef' } },
    { kind: 'allowed', egressRule: null, ingressRule: '~0123456789abcdef' },
  ],
];

for (const [what, entry, verdict] of verdicts) {
  test(`the verdict of ${what}`, async () => {
    await send(batch(entry));
    assert.deepEqual(
      records.map((record) => record.verdict),
      [verdict],
    );
  });
}

test('a message that is not understood costs only itself', async () => {
  await send(batch(whole), Buffer.from([0x12, 0x7f, 1]), Buffer.from([0x0b]), batch(whole, whole));
  assert.equal(records.length, 3);
  assert.equal(receiver.received, 3);
  assert.equal(receiver.undecoded, 2);
  assert.match(problems.join('\n'), /3 bytes is not understood.*ends inside a field/s);
});

test('a new receiver takes over the socket of one that is gone', async () => {
  const second = await listen();
  await send(batch(whole));
  assert.equal(second.received, 1);
  await receiver.close();
  receiver = second;
  await until(() => !existsSync(socketPath()), 'close removes the name');
  await second.close();
});
