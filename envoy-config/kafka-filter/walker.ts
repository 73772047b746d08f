// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int16, int32 } from '../../l7-policy/src/kafka/rule-table.ts';
import {
  FIELD_ELEMENT,
  FIELD_MARK,
  FIELD_NULL_FIRST,
  FIELD_NULL_LAST,
  FIELD_STRIDE,
  FIELD_STRUCT,
  FIELD_TAG,
  FIELD_TYPE,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_STRUCT,
  TYPE_TEXT,
  TYPE_UUID,
} from './layout.ts';
import { Schema } from './schema.ts';

/** Marked fields of one message; more are malformed, so that a frame cannot ask for memory without bound. */
const MOST_NOTES: i32 = 100000;

/**
 * Walks over a message by its schema. Whatever a broker would read differently fails: texts that are too long,
 * numbers of more than 31 bits, tagged fields out of order or of another size than they say.
 */
export class Walker {
  readonly schema: Schema;
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the message ends. */
  end: i32 = 0;
  /** Where what has come of it ends. Reading on from there fails. */
  come: i32 = 0;
  /** Where the field of bytes starts that was walked over last, its size included; -1: something came after it. */
  bytesAt: i32 = -1;
  /** Elements of the outermost array that it failed in. */
  outermost: i32 = 0;
  version: i32 = 0;
  flexible: boolean = false;
  /** The next byte. */
  at: i32 = 0;
  failed: boolean = false;
  /** Whether marked fields are noted. */
  noting: boolean = false;
  /** Of each noted field: mark, start, size (-1 for null). */
  notes: Int32Array = new Int32Array(96);
  noted: i32 = 0;

  constructor(schema: Schema) {
    this.schema = schema;
  }

  begin(bytes: Uint8Array, at: i32, end: i32, version: i32, flexible: boolean): void {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
    this.come = end;
    this.bytesAt = -1;
    this.outermost = 0;
    this.version = version;
    this.flexible = flexible;
    this.failed = false;
    this.noting = false;
    this.noted = 0;
  }

  fail(): void {
    this.failed = true;
  }

  /** Walks over a structure; `at` is behind it afterwards, unless it failed. */
  struct(struct: i32): void {
    const schema = this.schema;
    const last: i32 = schema.endField(struct);
    for (let field: i32 = schema.firstField(struct); field < last; field += FIELD_STRIDE) {
      if (!schema.active(field, this.version) || schema.field(field, FIELD_TAG) >= 0) continue;
      this.field(field);
      if (this.failed) return;
    }
    if (this.flexible) this.tagsOf(struct);
  }

  /** Goes to the first field of a structure that has a mark; -1 when it is not there. */
  seek(struct: i32, mark: i32): i32 {
    const last: i32 = this.schema.endField(struct);
    for (let field: i32 = this.schema.firstField(struct); field < last; field += FIELD_STRIDE) {
      if (!this.schema.active(field, this.version) || this.schema.field(field, FIELD_TAG) >= 0) continue;
      if (this.schema.field(field, FIELD_MARK) === mark) return field;
      this.field(field);
      if (this.failed) return -1;
    }
    return -1;
  }

  /** Walks over a field that is there. */
  field(field: i32): void {
    const type: i32 = this.schema.field(field, FIELD_TYPE);
    if (type === TYPE_ARRAY) this.array(field);
    else this.value(field, type);
  }

  /** Walks over a value of a type: a field's own, or one element of an array. */
  value(field: i32, type: i32): void {
    const start: i32 = this.at;
    if (type === TYPE_STRUCT) {
      if (this.isPresent(field)) this.struct(this.schema.field(field, FIELD_STRUCT));
      return;
    }
    if (type >= TYPE_TEXT) {
      const size: i32 = this.size(type === TYPE_TEXT, this.nullable(field));
      if (this.failed) return;
      this.note(field, this.at, size);
      if (size > 0) this.skip(size);
      this.bytesAt = type === TYPE_BYTES ? start : -1;
      return;
    }
    if (type > this.come - this.at) {
      this.failed = true;
      return;
    }
    this.at += type;
    this.bytesAt = -1;
    this.note(field, start, type);
  }

  /** A structure that may be null begins with -1 when it is; else with 1. Others are always there. */
  private isPresent(field: i32): boolean {
    if (this.schema.field(field, FIELD_TYPE) === TYPE_ARRAY || !this.nullable(field)) return true;
    if (this.at >= this.come) {
      this.failed = true;
      return false;
    }
    const flag: i32 = this.bytes[this.at] as i32;
    this.at++;
    if (flag !== 1 && flag !== 255) this.failed = true;
    return flag === 1;
  }

  private array(field: i32): void {
    const element: i32 = this.schema.field(field, FIELD_ELEMENT);
    const count: i32 = this.count(this.nullable(field));
    if (this.failed || count <= 0) return;
    if (element <= TYPE_UUID && element !== TYPE_STRUCT && this.schema.field(field, FIELD_MARK) === 0) {
      // The count is no more than the bytes that are left, so this cannot overflow.
      this.skip(count > 0x7ffffff ? this.end : count * element);
      return;
    }
    for (let index: i32 = 0; index < count; index++) {
      if (element === TYPE_STRUCT) this.struct(this.schema.field(field, FIELD_STRUCT));
      else this.value(field, element);
      if (this.failed) {
        this.outermost = count;
        return;
      }
    }
  }

  /**
   * Walks over a structure's tagged fields; tags ascend, and known ones have exactly the size they say. None is known
   * of structure -1.
   */
  tagsOf(struct: i32): void {
    const count: i32 = this.varint();
    let before: i32 = -1;
    for (let index: i32 = 0; index < count; index++) {
      if (this.failed) return;
      const tag: i32 = this.varint();
      const size: i32 = this.varint();
      if (this.failed) return;
      if (tag <= before || size > this.end - this.at) {
        this.failed = true;
        return;
      }
      before = tag;
      const stop: i32 = this.at + size;
      const field: i32 = this.tagged(struct, tag);
      if (field < 0) {
        this.at = stop;
        continue;
      }
      this.field(field);
      if (this.at !== stop) this.failed = true;
    }
  }

  /** The field with a tag that this version has, or -1. */
  private tagged(struct: i32, tag: i32): i32 {
    if (struct < 0) return -1;
    const last: i32 = this.schema.endField(struct);
    for (let field: i32 = this.schema.firstField(struct); field < last; field += FIELD_STRIDE) {
      if (this.schema.field(field, FIELD_TAG) === tag && this.schema.active(field, this.version))
        return field;
    }
    return -1;
  }

  nullable(field: i32): boolean {
    return (
      this.version >= this.schema.field(field, FIELD_NULL_FIRST) &&
      this.version <= this.schema.field(field, FIELD_NULL_LAST)
    );
  }

  /** The length of a text or of bytes; -1 for null. */
  size(text: boolean, nullable: boolean): i32 {
    let size: i32 = 0;
    if (this.flexible) {
      size = this.varint() - 1;
    } else if (text) {
      if (this.come - this.at < 2) {
        this.failed = true;
        return -1;
      }
      size = int16(this.bytes, this.at);
      this.at += 2;
    } else {
      size = this.int();
    }
    if (this.failed) return -1;
    if (size < -1 || (size === -1 && !nullable) || (text && size > 0x7fff) || size > this.end - this.at) {
      this.failed = true;
      return -1;
    }
    return size;
  }

  /** The number of an array's elements; -1 for null. Each takes a byte at least. */
  count(nullable: boolean): i32 {
    const count: i32 = this.flexible ? this.varint() - 1 : this.int();
    if (this.failed) return -1;
    if (count < -1 || (count === -1 && !nullable) || count > this.end - this.at) {
      this.failed = true;
      return -1;
    }
    return count;
  }

  int(): i32 {
    if (this.come - this.at < 4) {
      this.failed = true;
      return -1;
    }
    const value: i32 = int32(this.bytes, this.at);
    this.at += 4;
    return value;
  }

  /** An unsigned number of at most 31 bits in at most 5 bytes. */
  varint(): i32 {
    let value: i32 = 0;
    for (let shift: i32 = 0; shift <= 28; shift += 7) {
      if (this.at >= this.come) break;
      const byte: i32 = this.bytes[this.at] as i32;
      this.at++;
      if (shift === 28 && byte > 7) break;
      value = value | ((byte & 0x7f) << shift);
      if (byte < 0x80) return value;
    }
    this.failed = true;
    return 0;
  }

  skip(size: i32): void {
    if (size > this.end - this.at) this.failed = true;
    else this.at += size;
  }

  private note(field: i32, start: i32, size: i32): void {
    if (!this.noting || this.failed) return;
    const mark: i32 = this.schema.field(field, FIELD_MARK);
    if (mark === 0) return;
    if (this.noted === MOST_NOTES) {
      this.failed = true;
      return;
    }
    const slot: i32 = this.noted * 3;
    if (slot === this.notes.length) {
      const grown = new Int32Array(slot * 2);
      grown.set(this.notes);
      this.notes = grown;
    }
    this.notes[slot] = mark;
    this.notes[slot + 1] = start;
    this.notes[slot + 2] = size;
    this.noted++;
  }
}
