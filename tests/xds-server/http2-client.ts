// HTTP/2 frame by frame, so that a test can say what no client library would.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export interface RawClient {
  readonly socket: Socket;
  readonly write: (...frames: readonly Buffer[]) => void;
  /** The next frame for which the condition holds; null: the connection ended first. */
  readonly next: (wanted: (frame: Frame) => boolean) => Promise<Frame | null>;
}

export const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  more: 9,
};
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const deadlineMs = 10_000;

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(type, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** Headers as literals without a table. */
export function headers(fields: Readonly<Record<string, string>>): Buffer {
  const text = (value: string): Buffer =>
    Buffer.concat([Buffer.of(value.length), Buffer.from(value, 'latin1')]);
  return Buffer.concat(
    Object.entries(fields).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]),
  );
}

export const request = (path: string, more: Readonly<Record<string, string>> = {}): Buffer =>
  headers({
    ':method': 'POST',
    ':scheme': 'http',
    ':path': path,
    'content-type': 'application/grpc',
    ...more,
  });

export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A message with gRPC's prefix. */
export function message(bytes: Uint8Array, compressed = false): Buffer {
  return Buffer.concat([Buffer.of(compressed ? 1 : 0), word(bytes.length), bytes]);
}

/** Connects to a unix socket; `greet` sends preface and empty settings. */
export async function rawClient(t: TestContext, path: string, greet = true): Promise<RawClient> {
  const socket = connect(path);
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  const frames: Frame[] = [];
  let ended = false;
  let wake: () => void = () => undefined;
  let rest = Buffer.alloc(0);
  socket.on('error', () => undefined);
  socket.on('close', () => {
    ended = true;
    wake();
  });
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      frames.push({
        type: rest.readUInt8(3),
        flags: rest.readUInt8(4),
        stream: rest.readUInt32BE(5),
        payload: rest.subarray(9, end),
      });
      rest = rest.subarray(end);
    }
    wake();
  });
  if (greet) socket.write(Buffer.concat([preface, frame(types.settings, 0, 0)]));
  return {
    socket,
    write: (...parts) => void socket.write(Buffer.concat(parts)),
    next: async (wanted) => {
      const late = AbortSignal.timeout(deadlineMs);
      for (;;) {
        for (let one = frames.shift(); one !== undefined; one = frames.shift()) if (wanted(one)) return one;
        if (ended) return null;
        await new Promise<void>((done, fail) => {
          wake = done;
          late.addEventListener('abort', () => fail(new Error('no such frame in time')), { once: true });
        });
      }
    },
  };
}

/** A literal-only header block, as the server sends them. */
export function readHeaders(block: Buffer): Readonly<Record<string, string>> {
  const fields: Record<string, string> = {};
  let at = 0;
  const text = (): string => {
    let length = block.readUInt8(at);
    at += 1;
    if (length === 0x7f) {
      for (let shift = 0; ; shift += 7) {
        const byte = block.readUInt8(at);
        at += 1;
        length += (byte & 0x7f) << shift;
        if (byte < 0x80) break;
      }
    }
    at += length;
    return block.toString('latin1', at - length, at);
  };
  while (at < block.length) {
    at += 1;
    const name = text();
    fields[name] = text();
  }
  return fields;
}
