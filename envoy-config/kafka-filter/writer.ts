// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.

/** Runs of at most so many bytes are copied one by one, which costs less than a view. */
const SHORT: i32 = 64;

/** Bytes that grow at their end. */
export class Writer {
  bytes: Uint8Array;
  size: i32 = 0;

  constructor(capacity: i32) {
    this.bytes = new Uint8Array(capacity);
  }

  /** How much more memory it takes with so many more bytes. */
  growth(more: i32): i32 {
    if (this.bytes.length - this.size >= more) return 0;
    let capacity: i32 = this.bytes.length < 64 ? 64 : this.bytes.length;
    while (capacity - this.size < more) capacity = capacity * 2;
    return capacity - this.bytes.length;
  }

  /** Makes room for so many more bytes. */
  reserve(more: i32): void {
    if (this.bytes.length - this.size >= more) return;
    const grown = new Uint8Array(this.bytes.length + this.growth(more));
    grown.set(this.bytes.subarray(0, this.size), 0);
    this.bytes = grown;
  }

  byte(value: i32): void {
    this.reserve(1);
    this.bytes[this.size] = (value & 0xff) as u8;
    this.size++;
  }

  int16(value: i32): void {
    this.reserve(2);
    this.bytes[this.size] = ((value >> 8) & 0xff) as u8;
    this.bytes[this.size + 1] = (value & 0xff) as u8;
    this.size += 2;
  }

  int32(value: i32): void {
    this.reserve(4);
    this.int32At(this.size, value);
    this.size += 4;
  }

  /** Overwrites four bytes that are there. */
  int32At(at: i32, value: i32): void {
    this.bytes[at] = ((value >> 24) & 0xff) as u8;
    this.bytes[at + 1] = ((value >> 16) & 0xff) as u8;
    this.bytes[at + 2] = ((value >> 8) & 0xff) as u8;
    this.bytes[at + 3] = (value & 0xff) as u8;
  }

  /** An unsigned number of at most 31 bits. */
  varint(value: i32): void {
    let rest: i32 = value;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest = rest >> 7;
    }
    this.byte(rest);
  }

  append(from: Uint8Array, start: i32, end: i32): void {
    const size: i32 = end - start;
    if (size <= 0) return;
    this.reserve(size);
    if (size <= SHORT && end <= from.length) {
      const bytes = this.bytes;
      const at: i32 = this.size;
      for (let index: i32 = 0; index < size; index++) bytes[at + index] = from[start + index] as u8;
    } else {
      this.bytes.set(from.subarray(start, end), this.size);
    }
    this.size += size;
  }
}
