/** Frame types, flags and error codes of HTTP/2 (RFC 9113, sections 6 and 7). */
export const frameType = Object.freeze({
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
});

export const flags = Object.freeze({ endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 });

export const errorCode = Object.freeze({
  noError: 0,
  protocolError: 1,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  compressionError: 9,
  enhanceYourCalm: 11,
});
export type ErrorCode = (typeof errorCode)[keyof typeof errorCode];

export const settingId = Object.freeze({
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
});

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const frameHeaderBytes = 9;
/** What a receiver takes until its settings say more; nobody's here do. */
export const frameBytes = 16_384;
export const defaultWindow = 65_535;
export const largestWindow = 2 ** 31 - 1;
export const largestStream = 2 ** 31 - 1;

/** One frame. */
export function frame(type: number, flag: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  writeHeader(bytes, 0, payload.length, type, flag, stream);
  bytes.set(payload, frameHeaderBytes);
  return bytes;
}

export function writeHeader(
  into: Buffer,
  at: number,
  length: number,
  type: number,
  flag: number,
  stream: number,
): void {
  into.writeUIntBE(length, at, 3);
  into[at + 3] = type;
  into[at + 4] = flag;
  into.writeUInt32BE(stream, at + 5);
}

/** A payload of 32-bit words. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  values.forEach((value, index) => {
    bytes.writeUInt32BE(value, 4 * index);
  });
  return bytes;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * settings.length);
  settings.forEach(([id, value], index) => {
    payload.writeUInt16BE(id, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  });
  return frame(frameType.settings, 0, 0, payload);
}
