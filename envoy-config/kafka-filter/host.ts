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

/** Bytes that a look at a source brings at most beyond those that were asked for. */
const WINDOW: i32 = 512;

/** The bytes that a callback of Envoy was called for. */
export abstract class Source {
  size: i32 = 0;
  /** What was looked at last. */
  readonly window: Writer = new Writer(WINDOW);
  private windowAt: i32 = 0;

  /** Fetches a part of them and appends it. */
  abstract read(out: Writer, at: i32, size: i32): void;
  /** Puts the first bytes of a writer in the place of all of them. */
  abstract replace(by: Writer, size: i32): void;

  /** Takes the bytes of a new callback. */
  begin(size: i32): void {
    this.size = size;
    this.window.size = 0;
    this.windowAt = 0;
  }

  /** Appends a part of them. */
  into(out: Writer, at: i32, size: i32): void {
    const start: i32 = at - this.windowAt;
    const end: i32 = start + size;
    if (start >= 0 && end <= this.window.size) out.append(this.window.bytes, start, end);
    else this.read(out, at, size);
  }

  /** Brings a part into `window`, and says where it starts there. */
  look(at: i32, size: i32): i32 {
    const window = this.window;
    if (at < this.windowAt || at + size > this.windowAt + window.size) {
      const left: i32 = this.size - at;
      const most: i32 = size > WINDOW ? size : WINDOW;
      window.size = 0;
      this.windowAt = at;
      this.read(window, at, left < most ? left : most);
    }
    return at - this.windowAt;
  }
}
