// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int16 } from '../../l7-policy/src/kafka/rule-table.ts';
import {
  FIELD_ELEMENT,
  FIELD_LINK,
  FIELD_MARK,
  FIELD_STRIDE,
  FIELD_STRUCT,
  FIELD_TAG,
  FIELD_TYPE,
  MARK_API_KEY,
  MARK_ERROR,
  MARK_MAX_VERSION,
  MARK_MIN_VERSION,
  MARK_TOPIC,
  MARK_TOPIC_ID,
  TYPE_ARRAY,
  TYPE_STRUCT,
  TYPE_TEXT,
} from './layout.ts';
import { Schema } from './schema.ts';
import { isZero } from './topic-ids.ts';
import { Walker } from './walker.ts';
import { Writer } from './writer.ts';

/** Decides about what a message names, for `FilteredCopy`. */
export abstract class Sieve {
  abstract allowsName(bytes: Uint8Array, at: i32, size: i32): boolean;
  /** Of a structure that holds only the id. */
  abstract allowsId(bytes: Uint8Array, at: i32): boolean;
  /** Told of every pair of id and name. */
  abstract learn(bytes: Uint8Array, idAt: i32, nameAt: i32, nameSize: i32): void;
  /** Told where a left-out element starts, and of which array. */
  abstract leftOut(field: i32, start: i32): void;
  /** Called behind an array's elements: may write more, and says how many. */
  abstract more(field: i32, out: Writer): i32;
}

/**
 * Copies a message without the elements that the sieve refuses: structures that name such a topic, and names in
 * lists of names. Versions of APIs are cut to what the schema knows.
 */
export class FilteredCopy {
  private readonly schema: Schema;
  private readonly walker: Walker;
  private readonly out: Writer;
  private readonly sieve: Sieve;
  /** Written in the place of the first error of the message; -1: none. */
  errorCode: i32 = -1;
  private apiKey: i32 = 0;
  private first: i32 = 0;

  constructor(walker: Walker, out: Writer, sieve: Sieve) {
    this.schema = walker.schema;
    this.walker = walker;
    this.out = out;
    this.sieve = sieve;
  }

  /** Copies a structure; false when the sieve refuses it (or the walker failed), and what was written is void. */
  struct(struct: i32): boolean {
    const schema = this.schema;
    const walker = this.walker;
    const last: i32 = schema.endField(struct);
    let nameAt: i32 = -1;
    let nameSize: i32 = -1;
    let idAt: i32 = -1;
    let kept: boolean = true;
    for (let field: i32 = schema.firstField(struct); field < last; field += FIELD_STRIDE) {
      if (!schema.active(field, walker.version) || schema.field(field, FIELD_TAG) >= 0) continue;
      const type: i32 = schema.field(field, FIELD_TYPE);
      const mark: i32 = schema.field(field, FIELD_MARK);
      const start: i32 = walker.at;
      if (type === TYPE_ARRAY) {
        this.array(field);
      } else if (type === TYPE_STRUCT) {
        this.inner(field);
      } else if (mark >= MARK_ERROR) {
        if (!this.number(field, type, mark)) kept = false;
      } else if (mark === MARK_TOPIC) {
        const size: i32 = walker.size(type === TYPE_TEXT, walker.nullable(field));
        nameAt = walker.at;
        nameSize = size;
        if (size > 0) walker.skip(size);
        this.out.append(walker.bytes, start, walker.at);
      } else {
        walker.field(field);
        if (mark === MARK_TOPIC_ID) idAt = start;
        this.out.append(walker.bytes, start, walker.at);
      }
      if (walker.failed) return false;
    }
    if (walker.flexible) {
      const start: i32 = walker.at;
      walker.tagsOf(struct);
      this.out.append(walker.bytes, start, walker.at);
    }
    if (walker.failed) return false;
    return kept && this.allows(nameAt, nameSize, idAt);
  }

  private allows(nameAt: i32, nameSize: i32, idAt: i32): boolean {
    const bytes = this.walker.bytes;
    if (nameSize >= 0) {
      if (idAt >= 0) this.sieve.learn(bytes, idAt, nameAt, nameSize);
      return this.sieve.allowsName(bytes, nameAt, nameSize);
    }
    return idAt < 0 || isZero(bytes, idAt) || this.sieve.allowsId(bytes, idAt);
  }

  /** Copies a structure that is a field; a refused one becomes null where it may. */
  private inner(field: i32): void {
    const walker = this.walker;
    const mark: i32 = this.out.size;
    const start: i32 = walker.at;
    const nullable: boolean = walker.nullable(field);
    if (nullable) {
      if (walker.at >= walker.end) {
        walker.fail();
        return;
      }
      const flag: i32 = walker.bytes[start] as i32;
      walker.at++;
      this.out.byte(flag);
      if (flag === 255) return;
      if (flag !== 1) {
        walker.fail();
        return;
      }
    }
    if (this.struct(this.schema.field(field, FIELD_STRUCT)) || walker.failed) return;
    if (!nullable) {
      walker.fail();
      return;
    }
    this.out.size = mark;
    this.out.byte(255);
  }

  private array(field: i32): void {
    const walker = this.walker;
    const out = this.out;
    const element: i32 = this.schema.field(field, FIELD_ELEMENT);
    const struct: i32 = this.schema.field(field, FIELD_STRUCT);
    const named: boolean = element === TYPE_TEXT && this.schema.field(field, FIELD_MARK) === MARK_TOPIC;
    const start: i32 = walker.at;
    if (element !== TYPE_STRUCT && !named) {
      walker.field(field);
      out.append(walker.bytes, start, walker.at);
      return;
    }
    const count: i32 = walker.count(walker.nullable(field));
    if (walker.failed) return;
    const countAt: i32 = out.size;
    out.append(walker.bytes, start, walker.at);
    let kept: i32 = 0;
    for (let index: i32 = 0; index < count; index++) {
      const elementAt: i32 = walker.at;
      const mark: i32 = out.size;
      let keeps: boolean = true;
      if (element === TYPE_STRUCT) {
        keeps = this.struct(struct);
      } else {
        const size: i32 = walker.size(true, false);
        if (walker.failed) return;
        keeps = this.sieve.allowsName(walker.bytes, walker.at, size);
        walker.skip(size);
        out.append(walker.bytes, elementAt, walker.at);
      }
      if (walker.failed) return;
      if (keeps) {
        kept++;
        continue;
      }
      out.size = mark;
      this.sieve.leftOut(field, elementAt);
    }
    if (this.schema.field(field, FIELD_LINK) !== 0) kept += this.sieve.more(field, out);
    if (kept !== count && (count >= 0 || kept > 0)) this.recount(countAt, start, kept);
  }

  /** Puts another number in the place of an array's count. */
  private recount(countAt: i32, start: i32, kept: i32): void {
    const out = this.out;
    if (!this.walker.flexible) {
      out.int32At(countAt, kept);
      return;
    }
    let width: i32 = 1;
    while (((this.walker.bytes[start + width - 1] as i32) & 0x80) !== 0) width++;
    const rest: Uint8Array = out.bytes.slice(countAt + width, out.size);
    out.size = countAt;
    out.varint(kept + 1);
    out.append(rest, 0, rest.length);
  }

  /** Copies a number with a meaning; false where it makes its structure void. */
  private number(field: i32, type: i32, mark: i32): boolean {
    const walker = this.walker;
    const start: i32 = walker.at;
    walker.field(field);
    if (walker.failed) return false;
    let value: i32 = type === 2 ? int16(walker.bytes, start) : 0;
    let kept: boolean = true;
    if (mark === MARK_ERROR && this.errorCode >= 0) {
      value = this.errorCode;
      this.errorCode = -1;
    } else if (mark === MARK_API_KEY) {
      this.apiKey = value;
      kept = this.schema.lastVersion(value) >= 0;
    } else if (mark === MARK_MIN_VERSION) {
      const least: i32 = this.schema.firstVersion(this.apiKey);
      if (value < least) value = least;
      this.first = value;
    } else if (mark === MARK_MAX_VERSION) {
      const most: i32 = this.schema.lastVersion(this.apiKey);
      if (value > most) value = most;
      kept = value >= this.first;
    } else {
      this.out.append(walker.bytes, start, walker.at);
      return true;
    }
    this.out.int16(value);
    return kept;
  }
}
