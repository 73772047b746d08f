import type { Socket } from 'node:net';
import {
  readResponse,
  requestFrame,
  type Structure,
  schemaOf,
} from '../../tests/kafka/support/kafka-codec.ts';

/** Topics with one record, of 1 kB and of 64 kB, in their first batch. */
export const TOPICS = { small: 'bench-small', large: 'bench-large' } as const;

const PRODUCE = { key: 0, version: 9 };
const FETCH = { key: 1, version: 11 };

/** A Produce request with one batch. */
export function produceRequest(topic: string, records: Buffer): Buffer {
  const { key, version } = PRODUCE;
  return requestFrame(schemaOf(key, version), version, 1, 'bench', {
    TransactionalId: null,
    Acks: 1,
    TimeoutMs: 30_000,
    TopicData: [{ Name: topic, PartitionData: [{ Index: 0, Records: records }] }],
  });
}

/** A Fetch request from the start of a topic. */
export function fetchRequest(topic: string, maxBytes: number): Buffer {
  const { key, version } = FETCH;
  return requestFrame(schemaOf(key, version), version, 1, 'bench', {
    ReplicaId: -1,
    MaxWaitMs: 1_000,
    MinBytes: 1,
    MaxBytes: maxBytes,
    SessionEpoch: -1,
    Topics: [
      {
        Topic: topic,
        Partitions: [
          {
            Partition: 0,
            CurrentLeaderEpoch: -1,
            FetchOffset: 0,
            LogStartOffset: -1,
            PartitionMaxBytes: maxBytes,
          },
        ],
      },
    ],
  });
}

/** The error code of an answer's partition. */
export function errorOf(frame: Buffer, api: 'produce' | 'fetch'): number {
  const { key, version } = api === 'fetch' ? FETCH : PRODUCE;
  // Whole answers of a fetch are large: only their head is looked at. throttle, error, session, topics, name, ….
  if (api === 'fetch') {
    const name = frame.readInt16BE(22);
    return frame.readInt16BE(12) || frame.readInt16BE(24 + name + 4 + 4);
  }
  const { body } = readResponse(schemaOf(key, version), version, frame);
  const [topic] = body['Responses'] as readonly Structure[];
  const [partition] = (topic?.['PartitionResponses'] ?? []) as readonly Structure[];
  return Number(partition?.['ErrorCode'] ?? -1);
}

/** The first batch of a topic as the broker gives it: a broker takes it back as it is. */
export async function batchOf(socket: Socket, topic: string): Promise<Buffer> {
  const frame = await new Promise<Buffer>((resolve) => {
    frames(socket, resolve);
    socket.write(fetchRequest(topic, 1));
  });
  const { body } = readResponse(schemaOf(FETCH.key, FETCH.version), FETCH.version, frame);
  const [response] = body['Responses'] as readonly Structure[];
  const [partition] = (response?.['Partitions'] ?? []) as readonly Structure[];
  const records = partition?.['Records'] as Buffer;
  // The size of a batch stands behind its base offset, and counts what follows.
  return records.subarray(0, 12 + records.readInt32BE(8));
}

/** Calls back for each whole frame, size included. */
export function frames(socket: Socket, onFrame: (frame: Buffer) => void): void {
  let parts: Buffer[] = [];
  let held = 0;
  socket.on('data', (bytes: Buffer) => {
    parts.push(bytes);
    held += bytes.length;
    while (held >= 4) {
      const [head = bytes] = parts;
      if (head.length < 4) parts = [Buffer.concat(parts)];
      const size = 4 + (parts[0] ?? head).readInt32BE(0);
      if (held < size) return;
      const all = parts.length === 1 ? (parts[0] ?? head) : Buffer.concat(parts);
      onFrame(all.subarray(0, size));
      held -= size;
      parts = held === 0 ? [] : [all.subarray(size)];
    }
  });
}
