// What a broker would understand of a request: as lenient as Kafka's own generated readers, which take a known
// tagged field's size on trust, look at no order of tags, and leave bytes behind the end alone.
import { has, isFlexible, type SchemaField, type SchemaMessage, type SchemaRange } from './kafka-codec.ts';

/** Topic names in a message, or null where a broker would refuse to read it. */
export function topicsAsBroker(
  message: SchemaMessage,
  version: number,
  bytes: Buffer,
  start: number,
  unasked: readonly string[],
): readonly string[] | null {
  const reader = new LenientReader(bytes, start, version, isFlexible(message, version));
  try {
    reader.structure(message.fields, !unasked.includes(''), unasked);
  } catch {
    return null;
  }
  return reader.topics;
}

/** Where the body of a request frame starts, as a broker sees it; null where the header is malformed. */
export function bodyStart(schema: SchemaRange, version: number, frame: Buffer): number | null {
  if (schema.apiKey === 7 && version === 0) return 12;
  if (frame.length < 14) return null;
  const size = frame.readInt16BE(12);
  const at = 14 + Math.max(size, 0);
  if (size < -1 || at > frame.length) return null;
  if (!isFlexible(schema.request, version)) return at;
  const reader = new LenientReader(frame, at, version, true);
  try {
    reader.structure([], false, []);
  } catch {
    return null;
  }
  return reader.at;
}

class LenientReader {
  readonly topics: string[] = [];
  at: number;
  readonly #bytes: Buffer;
  readonly #version: number;
  readonly #flexible: boolean;

  constructor(bytes: Buffer, at: number, version: number, flexible: boolean) {
    this.#bytes = bytes;
    this.at = at;
    this.#version = version;
    this.#flexible = flexible;
  }

  structure(fields: readonly SchemaField[], counts: boolean, unasked: readonly string[]): void {
    const active = fields.filter(({ versions }) => has(versions, this.#version));
    for (const field of active) {
      if (field.tag === undefined) this.field(field, counts && !unasked.includes(field.name), unasked);
    }
    if (!this.#flexible) return;
    for (let left = this.varint(); left > 0; left--) {
      const tag = this.varint();
      const size = this.varint();
      const field = active.find((each) => each.tag === tag);
      if (field === undefined) this.take(size);
      else this.field(field, counts && !unasked.includes(field.name), unasked);
    }
  }

  field(field: SchemaField, counts: boolean, unasked: readonly string[]): void {
    const nullable = has(field.nullable, this.#version);
    if (!field.type.startsWith('[]')) {
      this.single(field, field.type, nullable, counts, unasked);
      return;
    }
    const count = this.#flexible ? this.varint() - 1 : this.take(4).readInt32BE();
    if (count < 0) {
      if (!nullable) throw new Error('null');
      return;
    }
    if (count > this.#bytes.length - this.at) throw new Error('too many');
    for (let index = 0; index < count; index++)
      this.single(field, field.type.slice(2), false, counts, unasked);
  }

  single(
    field: SchemaField,
    type: string,
    nullable: boolean,
    counts: boolean,
    unasked: readonly string[],
  ): void {
    switch (type) {
      case 'bool':
      case 'int8':
        this.take(1);
        return;
      case 'int16':
      case 'uint16':
        this.take(2);
        return;
      case 'int32':
      case 'uint32':
        this.take(4);
        return;
      case 'int64':
      case 'float64':
        this.take(8);
        return;
      case 'uuid':
        this.take(16);
        return;
      case 'string': {
        const size = this.#flexible ? this.varint() - 1 : this.take(2).readInt16BE();
        if (size < 0 && !nullable) throw new Error('null');
        if (size > 0x7fff) throw new Error('too long');
        const text = size < 0 ? null : this.take(size).toString('utf8');
        if (counts && text !== null && field.entity === 'topicName') this.topics.push(text);
        return;
      }
      case 'bytes':
      case 'records': {
        const size = this.#flexible ? this.varint() - 1 : this.take(4).readInt32BE();
        if (size < 0 && !nullable) throw new Error('null');
        if (size > 0) this.take(size);
        return;
      }
      default:
        if (nullable && this.take(1).readInt8() < 0) return;
        this.structure(field.fields ?? [], counts, unasked);
    }
  }

  /** As ByteUtils.readUnsignedVarint: five bytes, and what does not fit 32 bits falls off. */
  varint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      if (shift > 28) throw new Error('a number is too long');
      const byte = this.take(1).readUInt8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  take(size: number): Buffer {
    if (size < 0 || this.at + size > this.#bytes.length) throw new Error('the message is cut off');
    this.at += size;
    return this.#bytes.subarray(this.at - size, this.at);
  }
}
