// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import {
  FIELD_DEFAULT,
  FIELD_ELEMENT,
  FIELD_ERROR_IF_ALONE,
  FIELD_FLAGS,
  FIELD_LINK,
  FIELD_LONE,
  FIELD_MARK,
  FIELD_OUTER,
  FIELD_STRIDE,
  FIELD_STRUCT,
  FIELD_TAG,
  FIELD_TYPE,
  LINK_ELEMENT,
  MARK_ERROR,
  TYPE_ARRAY,
  TYPE_BYTES,
  TYPE_STRUCT,
  TYPE_TEXT,
} from './layout.ts';
import { Schema } from './schema.ts';
import { Walker } from './walker.ts';
import { Writer } from './writer.ts';

/** A context that is no structure: the element itself. */
const ELEMENT: i32 = -1;

/**
 * Writes the body of an answer that refuses a request: what the answer repeats of the request (topics, partitions,
 * groups) with an error each, an error of its own where there is nothing to repeat, defaults elsewhere. `walker`
 * has walked the request whole, so its bytes are sound; a request of `request` -1 is not looked at.
 */
export class ErrorAnswer {
  private readonly schema: Schema;
  private readonly walker: Walker;
  private readonly out: Writer;
  private readonly error: i32;
  /** Whether the error has been written somewhere. */
  private told: boolean = false;

  constructor(walker: Walker, out: Writer, error: i32) {
    this.schema = walker.schema;
    this.walker = walker;
    this.out = out;
    this.error = error;
  }

  /** Writes a structure for the part of the request at `at` that `asked` describes; -1: the request has none. */
  struct(struct: i32, asked: i32, at: i32, element: i32): void {
    const schema = this.schema;
    const version: i32 = this.walker.version;
    const last: i32 = schema.endField(struct);
    let repeated: i32 = 0;
    for (let field: i32 = schema.firstField(struct); field < last; field += FIELD_STRIDE) {
      if (!schema.active(field, version) || schema.field(field, FIELD_TYPE) !== TYPE_ARRAY) continue;
      const link: i32 = schema.field(field, FIELD_LINK);
      if (link !== 0 && asked >= 0) repeated += this.collect(asked, at, link, new Int32Array(0));
    }
    for (let field: i32 = schema.firstField(struct); field < last; field += FIELD_STRIDE) {
      if (!schema.active(field, version) || schema.field(field, FIELD_TAG) >= 0) continue;
      this.field(field, asked, at, element, repeated);
    }
    if (this.walker.flexible) this.out.byte(0);
  }

  private field(field: i32, asked: i32, at: i32, element: i32, repeated: i32): void {
    const schema = this.schema;
    const type: i32 = schema.field(field, FIELD_TYPE);
    const link: i32 = schema.field(field, FIELD_LINK);
    if (schema.field(field, FIELD_MARK) === MARK_ERROR) {
      const alone: boolean = (schema.field(field, FIELD_FLAGS) & FIELD_ERROR_IF_ALONE) !== 0;
      const here: boolean = !alone || repeated === 0;
      if (here) this.told = true;
      this.out.int16(here ? this.error : 0);
    } else if (type === TYPE_ARRAY) {
      this.array(field, asked, at, link);
    } else if (link !== 0 && this.repeat(field, type, link, asked, at, element)) {
      return;
    } else {
      this.standard(field, type);
    }
  }

  private array(field: i32, asked: i32, at: i32, link: i32): void {
    const schema = this.schema;
    const struct: i32 = schema.field(field, FIELD_STRUCT);
    if (link !== 0 && asked >= 0) {
      const found = new Int32Array(this.collect(asked, at, link, new Int32Array(0)) * 3);
      const count: i32 = this.collect(asked, at, link, found);
      this.count(count);
      for (let index: i32 = 0; index < count; index++) {
        this.struct(
          struct,
          found[index * 3] as i32,
          found[index * 3 + 1] as i32,
          found[index * 3 + 2] as i32,
        );
      }
    } else if ((schema.field(field, FIELD_FLAGS) & FIELD_LONE) !== 0 && !this.told) {
      this.count(1);
      this.struct(struct, -1, 0, 0);
    } else if (schema.field(field, FIELD_DEFAULT) === 1 && this.walker.nullable(field)) {
      this.count(-1);
    } else {
      this.count(0);
    }
  }

  private count(count: i32): void {
    if (this.walker.flexible) this.out.varint(count + 1);
    else this.out.int32(count);
  }

  /** Repeats a value of the request; false where the request does not have it in this version. */
  private repeat(field: i32, type: i32, link: i32, asked: i32, at: i32, element: i32): boolean {
    const nullable: boolean = this.walker.nullable(field);
    if (asked === ELEMENT && element !== 0) {
      if (element !== type) return false;
      this.copy(type, at, nullable);
      return true;
    }
    if (asked < 0 || link === LINK_ELEMENT || this.seek(asked, at, link) < 0) return false;
    this.copy(type, this.walker.at, nullable);
    return true;
  }

  /** Copies a value as it stands; where null may not stand, a null text becomes an empty one. */
  private copy(type: i32, at: i32, nullable: boolean): void {
    const walker = this.walker;
    walker.at = at;
    if (type < TYPE_TEXT) {
      this.out.append(walker.bytes, at, at + type);
      return;
    }
    const size: i32 = walker.size(type === TYPE_TEXT, true);
    if (size > 0) this.out.append(walker.bytes, at, walker.at + size);
    else this.empty(type, size < 0 && nullable);
  }

  /** Goes to the field with a link in a structure of the request; -1 when it is not there. */
  private seek(asked: i32, at: i32, link: i32): i32 {
    const schema = this.schema;
    const walker = this.walker;
    const last: i32 = schema.endField(asked);
    walker.at = at;
    walker.noting = false;
    for (let field: i32 = schema.firstField(asked); field < last; field += FIELD_STRIDE) {
      if (!schema.active(field, walker.version) || schema.field(field, FIELD_TAG) >= 0) continue;
      if (schema.field(field, FIELD_LINK) === link) return field;
      walker.field(field);
    }
    return -1;
  }

  /**
   * Counts the elements of the request's arrays with a link, and notes of each its structure (-1: it is none), its
   * start and the type of its element (0: a structure) where `found` has room.
   */
  private collect(asked: i32, at: i32, link: i32, found: Int32Array): i32 {
    return this.collectFrom(asked, at, link, found, 0);
  }

  private collectFrom(asked: i32, at: i32, link: i32, found: Int32Array, before: i32): i32 {
    const schema = this.schema;
    const walker = this.walker;
    const last: i32 = schema.endField(asked);
    let count: i32 = before;
    walker.at = at;
    walker.noting = false;
    for (let field: i32 = schema.firstField(asked); field < last; field += FIELD_STRIDE) {
      if (!schema.active(field, walker.version) || schema.field(field, FIELD_TAG) >= 0) continue;
      const linked: boolean = schema.field(field, FIELD_LINK) === link;
      const outer: boolean = (schema.field(field, FIELD_FLAGS) & FIELD_OUTER) !== 0;
      if (schema.field(field, FIELD_TYPE) !== TYPE_ARRAY || (!linked && !outer)) {
        walker.field(field);
        continue;
      }
      const element: i32 = schema.field(field, FIELD_ELEMENT);
      const struct: i32 = schema.field(field, FIELD_STRUCT);
      const elements: i32 = walker.count(walker.nullable(field));
      for (let index: i32 = 0; index < elements; index++) {
        const start: i32 = walker.at;
        if (outer) {
          count = this.collectFrom(struct, start, link, found, count);
          walker.at = start;
        } else {
          if (found.length > count * 3) {
            found[count * 3] = element === TYPE_STRUCT ? struct : ELEMENT;
            found[count * 3 + 1] = start;
            found[count * 3 + 2] = element;
          }
          count++;
        }
        if (element === TYPE_STRUCT) walker.struct(struct);
        else walker.value(field, element);
      }
    }
    return count;
  }

  private standard(field: i32, type: i32): void {
    const value: i32 = this.schema.field(field, FIELD_DEFAULT);
    if (type === TYPE_STRUCT) {
      if (!this.walker.nullable(field)) {
        this.struct(this.schema.field(field, FIELD_STRUCT), -1, 0, 0);
      } else if (value === 1) {
        this.out.byte(255);
      } else {
        this.out.byte(1);
        this.struct(this.schema.field(field, FIELD_STRUCT), -1, 0, 0);
      }
    } else if (type >= TYPE_TEXT) {
      this.empty(type, value === 1 && this.walker.nullable(field));
    } else if (type <= 2) {
      if (type === 2) this.out.byte(value >> 8);
      this.out.byte(value);
    } else {
      // Longer numbers carry the sign on; ids are zero.
      for (let left: i32 = type; left > 4; left -= 4) this.out.int32(value < 0 ? -1 : 0);
      this.out.int32(value);
    }
  }

  private empty(type: i32, isNull: boolean): void {
    if (this.walker.flexible) this.out.byte(isNull ? 0 : 1);
    else if (type === TYPE_BYTES) this.out.int32(isNull ? -1 : 0);
    else this.out.int16(isNull ? -1 : 0);
  }
}
