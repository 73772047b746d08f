// Compiled for Envoy and run by Node: see portable.d.ts.

/** What a rule's topic and keys mean for an API; the numbers stand in the filter's tables. */
export const CLASS_TOPIC: i32 = 0;
export const CLASS_GROUP: i32 = 1;
export const CLASS_HARMLESS: i32 = 2;
export const CLASS_EXPLICIT: i32 = 3;

/**
 * The table as `encodeKafkaRules` writes it, all numbers big-endian: its size in bytes, and how many rules, buckets (a
 * power of two) and distinct rules it has; of each bucket the last of its rules, or -1; the distinct rules; a record of
 * each rule; the keys and texts that the records lead to.
 */
export const SIZE_AT: i32 = 0;
export const COUNT_AT: i32 = 4;
export const BUCKETS_AT: i32 = 8;
export const DISTINCT_AT: i32 = 12;
export const HEADS_AT: i32 = 16;
/** Numbers of a record: the rule before it in its bucket, or -1; where its keys and texts stand in the table. */
export const RECORD_NEXT: i32 = 0;
export const RECORD_TEXT: i32 = 4;
/** -1: any. */
export const RECORD_VERSION: i32 = 8;
/** 16, the bytes of a bit set of keys 0..127, or 0: no keys are named. The set, client, topic and id follow each other. */
export const RECORD_KEYS: i32 = 10;
/** Sizes in bytes; -1: any. */
export const RECORD_CLIENT: i32 = 12;
export const RECORD_TOPIC: i32 = 14;
export const RECORD_ID: i32 = 16;
export const RECORD_BYTES: i32 = 18;
export const KEY_SET_BYTES: i32 = 16;

/**
 * The Kafka rules of one side of a class, indexed by topic and client, so that a look-up costs the same for any number
 * of rules. It looks into the bytes that `encodeKafkaRules` wrote and builds nothing: a new version of many rules is in
 * force as soon as one of few.
 */
export class RuleTable {
  /** Where the table ends in its bytes; -1 when they cannot be a table, and then it allows nothing. */
  end: i32 = -1;
  private bytes: Uint8Array;
  private start: i32;
  private mask: i32 = 0;
  private distinct: i32 = 0;
  private distinctCount: i32 = 0;
  private records: i32 = 0;

  constructor(bytes: Uint8Array, start: i32) {
    this.bytes = bytes;
    this.start = start;
    this.end = this.open();
  }

  /** The bytes it looks into. */
  get source(): Uint8Array {
    return this.bytes;
  }

  /** Where a rule's id starts in `source`. */
  idStart(rule: i32): i32 {
    const topic: i32 = this.small(rule, RECORD_TOPIC);
    return this.topicStart(rule) + (topic < 0 ? 0 : topic);
  }

  idSize(rule: i32): i32 {
    return this.small(rule, RECORD_ID);
  }

  /**
   * The first rule that lets a request touch this topic, or -1. A `topicSize` of -1 asks for all topics: only
   * a rule without a topic answers that.
   */
  forTopic(
    apiKey: i32,
    apiVersion: i32,
    apiClass: i32,
    from: Uint8Array,
    clientAt: i32,
    clientSize: i32,
    topics: Uint8Array,
    topicAt: i32,
    topicSize: i32,
  ): i32 {
    if (this.end < 0) return -1;
    let best: i32 = -1;
    const client: i32 = hash(from, clientAt, clientSize);
    for (let named: i32 = 0; named < 2; named++) {
      if (named === 1 && topicSize < 0) continue;
      const topic: i32 = named === 1 ? hash(topics, topicAt, topicSize) : 0;
      for (let bound: i32 = 0; bound < 2; bound++) {
        const key: i32 = combine(topic, bound === 1 ? client : 0);
        let rule: i32 = int32(this.bytes, this.start + HEADS_AT + (key & this.mask) * 4);
        while (rule >= 0) {
          if (
            (best < 0 || rule < best) &&
            this.takes(rule, apiKey, apiVersion, apiClass, from, clientAt, clientSize) &&
            this.covers(rule, topics, topicAt, topicSize)
          ) {
            best = rule;
          }
          rule = int32(this.bytes, this.recordAt(rule) + RECORD_NEXT);
        }
      }
    }
    return best;
  }

  /**
   * The first rule that lets a request through whatever its topics, or -1: for requests that carry none, and for
   * those whose answer is filtered.
   */
  forAnyOf(
    apiKey: i32,
    apiVersion: i32,
    apiClass: i32,
    from: Uint8Array,
    clientAt: i32,
    clientSize: i32,
  ): i32 {
    for (let index: i32 = 0; index < this.distinctCount; index++) {
      const rule: i32 = int32(this.bytes, this.distinct + index * 4);
      if (this.takes(rule, apiKey, apiVersion, apiClass, from, clientAt, clientSize)) return rule;
    }
    return -1;
  }

  /** Whether every condition of a rule but the topic holds. */
  takes(
    rule: i32,
    apiKey: i32,
    apiVersion: i32,
    apiClass: i32,
    from: Uint8Array,
    clientAt: i32,
    clientSize: i32,
  ): boolean {
    const version: i32 = this.small(rule, RECORD_VERSION);
    if (version >= 0 && version !== apiVersion) return false;
    if (this.small(rule, RECORD_KEYS) > 0) {
      if (apiKey < 0 || apiKey > 127) return false;
      const byte: i32 = this.bytes[this.textStart(rule) + (apiKey >> 3)] as i32;
      if (((byte >> (apiKey & 7)) & 1) === 0) return false;
    } else if (apiClass === CLASS_EXPLICIT && this.small(rule, RECORD_TOPIC) >= 0) {
      return false;
    }
    const size: i32 = this.small(rule, RECORD_CLIENT);
    if (size < 0) return true;
    return same(this.bytes, this.clientStart(rule), size, from, clientAt, clientSize);
  }

  /** Whether a rule's topic condition lets a topic through; a `topicSize` of -1 stands for all topics. */
  covers(rule: i32, topics: Uint8Array, topicAt: i32, topicSize: i32): boolean {
    const size: i32 = this.small(rule, RECORD_TOPIC);
    if (size < 0) return true;
    if (topicSize < 0) return false;
    return same(this.bytes, this.topicStart(rule), size, topics, topicAt, topicSize);
  }

  /** Takes the header; -1 when there is no room for what it promises. */
  private open(): i32 {
    const left: i32 = this.bytes.length - this.start;
    if (this.start < 0 || left < HEADS_AT) return -1;
    const size: i32 = int32(this.bytes, this.start + SIZE_AT);
    const count: i32 = int32(this.bytes, this.start + COUNT_AT);
    const buckets: i32 = int32(this.bytes, this.start + BUCKETS_AT);
    const distinct: i32 = int32(this.bytes, this.start + DISTINCT_AT);
    if (size < 0 || size > left || count < 0 || count > size || distinct < 0 || distinct > count) return -1;
    if (buckets < 1 || buckets > size || (buckets & (buckets - 1)) !== 0) return -1;
    const records: i32 = HEADS_AT + (buckets + distinct) * 4;
    if (records > size || count > (((size - records) / RECORD_BYTES) | 0)) return -1;
    this.mask = buckets - 1;
    this.distinct = this.start + HEADS_AT + buckets * 4;
    this.distinctCount = distinct;
    this.records = this.start + records;
    return this.start + size;
  }

  private recordAt(rule: i32): i32 {
    return this.records + rule * RECORD_BYTES;
  }

  private small(rule: i32, field: i32): i32 {
    return int16(this.bytes, this.recordAt(rule) + field);
  }

  private textStart(rule: i32): i32 {
    return this.start + int32(this.bytes, this.recordAt(rule) + RECORD_TEXT);
  }

  private clientStart(rule: i32): i32 {
    return this.textStart(rule) + this.small(rule, RECORD_KEYS);
  }

  private topicStart(rule: i32): i32 {
    const client: i32 = this.small(rule, RECORD_CLIENT);
    return this.clientStart(rule) + (client < 0 ? 0 : client);
  }
}

/** A big-endian number of 16 bits with its sign. The bytes must be there. */
export function int16(bytes: Uint8Array, at: i32): i32 {
  return ((((bytes[at] as i32) << 8) | (bytes[at + 1] as i32)) << 16) >> 16;
}

/** A big-endian number of 32 bits with its sign. The bytes must be there. */
export function int32(bytes: Uint8Array, at: i32): i32 {
  return (
    ((bytes[at] as i32) << 24) |
    ((bytes[at + 1] as i32) << 16) |
    ((bytes[at + 2] as i32) << 8) |
    (bytes[at + 3] as i32)
  );
}

/** Whether two runs of bytes are equal. A negative size is an empty run. */
export function same(a: Uint8Array, aAt: i32, aSize: i32, b: Uint8Array, bAt: i32, bSize: i32): boolean {
  const size: i32 = bSize < 0 ? 0 : bSize;
  if (aSize !== size) return false;
  for (let index: i32 = 0; index < size; index++) {
    if ((a[aAt + index] as i32) !== (b[bAt + index] as i32)) return false;
  }
  return true;
}

/** A hash of a run of bytes, never that of "no condition" by design of `combine`. */
export function hash(bytes: Uint8Array, at: i32, size: i32): i32 {
  let value: i32 = 17;
  for (let index: i32 = 0; index < size; index++) {
    value = ((value << 5) - value + (bytes[at + index] as i32)) | 0;
  }
  return value;
}

/** The key of a rule or request in the index, from the hashes of its topic and client; 0 stands for "any". */
export function combine(topic: i32, client: i32): i32 {
  const value: i32 = ((topic << 5) - topic + client) | 0;
  return value ^ (value >>> 15);
}
