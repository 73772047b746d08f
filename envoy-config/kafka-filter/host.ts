// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { Writer } from './writer.ts';

/** What the filter needs of where it runs. */
export abstract class Host {
  /** What another VM (or this one before) left under a key; null when nothing is there. */
  abstract read(key: Uint8Array): Uint8Array | null;
  abstract leave(key: Uint8Array, value: Uint8Array): void;
  /** Writes the time of the day as milliseconds since the epoch: eight bytes, big-endian. */
  abstract stamp(out: Writer): void;
}

/** The bytes that a callback of Envoy was called for. */
export abstract class Source {
  size: i32 = 0;
  abstract read(at: i32, size: i32): Uint8Array;
}
