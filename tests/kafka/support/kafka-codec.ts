// Reads and writes Kafka messages by the official schemas, knowing nothing of the filter's tables.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

export interface SchemaField {
  readonly name: string;
  readonly type: string;
  readonly versions: readonly [number, number];
  readonly nullable?: readonly [number, number];
  readonly tag?: number;
  readonly default?: string;
  readonly entity?: string;
  readonly fields?: readonly SchemaField[];
}

export interface SchemaMessage {
  readonly flexible: number | null;
  readonly fields: readonly SchemaField[];
}

export interface SchemaRange {
  readonly apiKey: number;
  readonly name: string;
  readonly versions: readonly [number, number];
  readonly release: string;
  readonly request: SchemaMessage;
  readonly response: SchemaMessage;
}

/** A structure: values by the names of fields. */
export type Structure = { readonly [name: string]: Value };
export type Value = null | number | bigint | boolean | string | Buffer | readonly Value[] | Structure;

const path = resolve(import.meta.dirname, '../../../envoy-config/kafka-schemas.json');

/** The schemas of every API and version. */
export const schemas: readonly SchemaRange[] = JSON.parse(readFileSync(path, 'utf8'));

/** The schemas of an API in a version. */
export function schemaOf(apiKey: number, version: number): SchemaRange {
  const found = schemas.find(
    (each) => each.apiKey === apiKey && version >= each.versions[0] && version <= each.versions[1],
  );
  if (found === undefined) throw new Error(`no schema for API ${apiKey} version ${version}`);
  return found;
}

/** Every API and version. */
export function everyVersion(): readonly { readonly schema: SchemaRange; readonly version: number }[] {
  return schemas.flatMap((schema) =>
    Array.from({ length: schema.versions[1] - schema.versions[0] + 1 }, (_, index) => ({
      schema,
      version: schema.versions[0] + index,
    })),
  );
}

export function isFlexible({ flexible }: SchemaMessage, version: number): boolean {
  return flexible !== null && version >= flexible;
}

export function has(range: readonly [number, number] | undefined, version: number): boolean {
  return range !== undefined && version >= range[0] && version <= range[1];
}

/** A whole request frame. */
export function requestFrame(
  { apiKey, request }: SchemaRange,
  version: number,
  correlation: number,
  clientId: string | null,
  body: Structure,
): Buffer {
  const flexible = isFlexible(request, version);
  const head = [int(2, apiKey), int(2, version), int(4, correlation)];
  const client = apiKey === 7 && version === 0 ? [] : [text(clientId, false)];
  return frame([...head, ...client, ...(flexible ? [varint(0)] : []), encode(request, version, body)]);
}

/** A whole response frame. */
export function responseFrame(
  { apiKey, response }: SchemaRange,
  version: number,
  correlation: number,
  body: Structure,
): Buffer {
  const tags = isFlexible(response, version) && apiKey !== 18 ? [varint(0)] : [];
  return frame([int(4, correlation), ...tags, encode(response, version, body)]);
}

/** The body of a response frame. Fails where anything is left, or missing. */
export function readResponse(
  schema: SchemaRange,
  version: number,
  bytes: Buffer,
): { readonly correlation: number; readonly body: Structure } {
  if (bytes.readInt32BE(0) !== bytes.length - 4) throw new Error('the frame has another size than it says');
  const reader = new Reader(bytes, 8);
  if (isFlexible(schema.response, version) && schema.apiKey !== 18) reader.tags([], version);
  const body = reader.message(schema.response, version);
  return { correlation: bytes.readInt32BE(4), body };
}

/** The header and body of a request frame. */
export function readRequest(bytes: Buffer): {
  readonly apiKey: number;
  readonly version: number;
  readonly correlation: number;
  readonly body: Structure;
} {
  const [apiKey, version] = [bytes.readInt16BE(4), bytes.readInt16BE(6)];
  const { request } = schemaOf(apiKey, version);
  const clientSize = apiKey === 7 && version === 0 ? -2 : Math.max(bytes.readInt16BE(12), 0);
  const reader = new Reader(bytes, 14 + clientSize);
  if (isFlexible(request, version)) reader.tags([], version);
  return { apiKey, version, correlation: bytes.readInt32BE(8), body: reader.message(request, version) };
}

export function frame(parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([int(4, body.length), body]);
}

function encode(message: SchemaMessage, version: number, value: Structure): Buffer {
  return structure(message.fields, version, isFlexible(message, version), value);
}

function structure(
  fields: readonly SchemaField[],
  version: number,
  flexible: boolean,
  value: Structure,
): Buffer {
  const active = fields.filter(({ versions }) => has(versions, version));
  const plain = active
    .filter(({ tag }) => tag === undefined)
    .map((field) => fieldBytes(field, version, flexible, value[field.name]));
  if (!flexible) return Buffer.concat(plain);
  const tagged = active
    .filter(({ tag, name }) => tag !== undefined && value[name] !== undefined)
    .sort((a, b) => (a.tag ?? 0) - (b.tag ?? 0))
    .map((field) => {
      const bytes = fieldBytes(field, version, flexible, value[field.name]);
      return Buffer.concat([varint(field.tag ?? 0), varint(bytes.length), bytes]);
    });
  return Buffer.concat([...plain, varint(tagged.length), ...tagged]);
}

function fieldBytes(
  field: SchemaField,
  version: number,
  flexible: boolean,
  value: Value | undefined,
): Buffer {
  const nullable = has(field.nullable, version);
  const given = value === undefined ? (field.default === 'null' && nullable ? null : undefined) : value;
  if (field.type.startsWith('[]')) {
    if (given === null) return flexible ? varint(0) : int(4, -1);
    const items = (given ?? []) as readonly Value[];
    const element = { ...field, type: field.type.slice(2), versions: field.versions };
    const parts = items.map((item) => single(element, version, flexible, item, false));
    return Buffer.concat([flexible ? varint(items.length + 1) : int(4, items.length), ...parts]);
  }
  return single(field, version, flexible, given, nullable);
}

function single(
  field: SchemaField,
  version: number,
  flexible: boolean,
  value: Value | undefined,
  nullable: boolean,
): Buffer {
  switch (field.type) {
    case 'bool':
      return int(1, value === undefined ? Number(field.default === 'true') : Number(value));
    case 'int8':
      return int(1, Number(value ?? field.default ?? 0));
    case 'int16':
    case 'uint16':
      return int(2, Number(value ?? field.default ?? 0));
    case 'int32':
    case 'uint32':
      return int(4, Number(value ?? field.default ?? 0));
    case 'int64': {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64BE(BigInt((value ?? field.default ?? 0) as number));
      return bytes;
    }
    case 'float64':
      return Buffer.alloc(8);
    case 'uuid':
      return (value as Buffer | undefined) ?? Buffer.alloc(16);
    case 'string':
      return text(value === null ? null : String(value ?? ''), flexible);
    case 'bytes':
    case 'records': {
      if (value === null) return flexible ? varint(0) : int(4, -1);
      const bytes = (value as Buffer | undefined) ?? Buffer.alloc(0);
      return Buffer.concat([flexible ? varint(bytes.length + 1) : int(4, bytes.length), bytes]);
    }
    default: {
      if (nullable && value === null) return int(1, -1);
      const inner = structure(field.fields ?? [], version, flexible, (value ?? {}) as Structure);
      return nullable ? Buffer.concat([int(1, 1), inner]) : inner;
    }
  }
}

function text(value: string | null, flexible: boolean): Buffer {
  if (value === null) return flexible ? varint(0) : int(2, -1);
  const bytes = Buffer.from(value);
  return Buffer.concat([flexible ? varint(bytes.length + 1) : int(2, bytes.length), bytes]);
}

export function int(size: 1 | 2 | 4, value: number): Buffer {
  const bytes = Buffer.alloc(size);
  if (value < 0) bytes.writeIntBE(value, 0, size);
  else bytes.writeUIntBE(value, 0, size);
  return bytes;
}

export function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

class Reader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  message(message: SchemaMessage, version: number): Structure {
    const value = this.structure(message.fields, version, isFlexible(message, version));
    if (this.#at !== this.#bytes.length) throw new Error(`${this.#bytes.length - this.#at} bytes are left`);
    return value;
  }

  structure(fields: readonly SchemaField[], version: number, flexible: boolean): Structure {
    const active = fields.filter(({ versions }) => has(versions, version));
    const plain = active
      .filter(({ tag }) => tag === undefined)
      .map((field) => [field.name, this.field(field, version, flexible)] as const);
    return { ...Object.fromEntries(plain), ...(flexible ? this.tags(active, version) : {}) };
  }

  tags(fields: readonly SchemaField[], version: number): Structure {
    const found: Record<string, Value> = {};
    for (let left = this.varint(); left > 0; left--) {
      const tag = this.varint();
      const end = this.varint() + this.#at;
      const field = fields.find((each) => each.tag === tag);
      if (field === undefined) this.take(end - this.#at);
      else found[field.name] = this.field(field, version, true);
      if (this.#at !== end) throw new Error('a tagged field has another size than it says');
    }
    return found;
  }

  field(field: SchemaField, version: number, flexible: boolean): Value {
    const nullable = has(field.nullable, version);
    if (!field.type.startsWith('[]')) return this.single(field, version, flexible, nullable);
    const count = flexible ? this.varint() - 1 : this.take(4).readInt32BE();
    if (count < 0) {
      if (!nullable) throw new Error(`${field.name} is null`);
      return null;
    }
    const element = { ...field, type: field.type.slice(2) };
    return Array.from({ length: count }, () => this.single(element, version, flexible, false));
  }

  single(field: SchemaField, version: number, flexible: boolean, nullable: boolean): Value {
    switch (field.type) {
      case 'bool':
        return this.take(1).readUInt8() === 1;
      case 'int8':
        return this.take(1).readInt8();
      case 'int16':
        return this.take(2).readInt16BE();
      case 'uint16':
        return this.take(2).readUInt16BE();
      case 'int32':
        return this.take(4).readInt32BE();
      case 'uint32':
        return this.take(4).readUInt32BE();
      case 'int64':
        return this.take(8).readBigInt64BE();
      case 'float64':
        return this.take(8).readDoubleBE();
      case 'uuid':
        return this.take(16);
      case 'string': {
        const size = flexible ? this.varint() - 1 : this.take(2).readInt16BE();
        if (size < 0 && !nullable) throw new Error(`${field.name} is null`);
        return size < 0 ? null : this.take(size).toString('utf8');
      }
      case 'bytes':
      case 'records': {
        const size = flexible ? this.varint() - 1 : this.take(4).readInt32BE();
        if (size < 0 && !nullable) throw new Error(`${field.name} is null`);
        return size < 0 ? null : this.take(size);
      }
      default: {
        if (nullable && this.take(1).readInt8() < 0) return null;
        return this.structure(field.fields ?? [], version, flexible);
      }
    }
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.take(1).readUInt8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }

  take(size: number): Buffer {
    if (size < 0 || this.#at + size > this.#bytes.length) throw new Error('the message is cut off');
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }
}
