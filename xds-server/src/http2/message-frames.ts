import { frame, frameBytes, frameHeaderBytes, frameType, writeHeader } from './frames.ts';

/** A gRPC message on its way out: its five-byte prefix and itself, in DATA frames of one stream. */
export interface OutgoingMessage {
  /** All frames, each full but the last. */
  readonly frames: Buffer;
  /** Prefix and message. */
  readonly payloadBytes: number;
  /** How much of the payload is sent. */
  sentBytes: number;
}

const prefixBytes = 5;
const fullFrame = frameHeaderBytes + frameBytes;

interface Framed {
  readonly stream: number;
  readonly frames: Buffer;
}
/** Streams of many connections have the same number: the same message is the same frames there. */
const framedBefore = new WeakMap<Uint8Array, Framed>();

export function outgoingMessage(message: Uint8Array, stream: number): OutgoingMessage {
  const payloadBytes = prefixBytes + message.length;
  const known = framedBefore.get(message);
  if (known?.stream === stream) return { frames: known.frames, payloadBytes, sentBytes: 0 };
  const frames = framesOf(message, stream);
  framedBefore.set(message, { stream, frames });
  return { frames, payloadBytes, sentBytes: 0 };
}

function framesOf(message: Uint8Array, stream: number): Buffer {
  const payloadBytes = prefixBytes + message.length;
  const count = Math.ceil(payloadBytes / frameBytes);
  const frames = Buffer.allocUnsafe(payloadBytes + count * frameHeaderBytes);
  for (let index = 0; index < count; index += 1) {
    const from = index * frameBytes;
    const length = Math.min(frameBytes, payloadBytes - from);
    const at = index * fullFrame;
    writeHeader(frames, at, length, frameType.data, 0, stream);
    const skip = index === 0 ? prefixBytes : 0;
    const body = message.subarray(from + skip - prefixBytes, from + length - prefixBytes);
    frames.set(body, at + frameHeaderBytes + skip);
  }
  frames[frameHeaderBytes] = 0;
  frames.writeUInt32BE(message.length, frameHeaderBytes + 1);
  return frames;
}

/** Takes the next frames with at most this much payload, as one buffer; moves `sentBytes` on. */
export function nextFrames(message: OutgoingMessage, stream: number, mostBytes: number): Buffer {
  const { frames, payloadBytes, sentBytes } = message;
  const within = sentBytes % frameBytes;
  const at = Math.floor(sentBytes / frameBytes) * fullFrame;
  const left = payloadBytes - sentBytes;
  if (within === 0 && mostBytes >= left) {
    message.sentBytes = payloadBytes;
    return at === 0 ? frames : frames.subarray(at);
  }
  const whole = within === 0 ? Math.floor(mostBytes / frameBytes) : 0;
  if (whole > 0) {
    message.sentBytes += whole * frameBytes;
    return frames.subarray(at, at + whole * fullFrame);
  }
  // The window is smaller than a frame, or was: a frame of its own.
  const length = Math.min(mostBytes, frameBytes - within, left);
  message.sentBytes += length;
  const from = at + frameHeaderBytes + within;
  return frame(frameType.data, 0, stream, frames.subarray(from, from + length));
}
