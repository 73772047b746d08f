// Compiled for Envoy and run by Node: see portable.d.ts.

/** What a rule's topic and keys mean for an API; the numbers stand in the filter's tables. */
export const CLASS_TOPIC: i32 = 0;
export const CLASS_GROUP: i32 = 1;
export const CLASS_HARMLESS: i32 = 2;
export const CLASS_EXPLICIT: i32 = 3;

/** A length that stands for "no condition" in a rule. */
const ANY: i32 = -1;
/** Numbers of a rule in `rules`. */
const STRIDE: i32 = 11;
const TOPIC_AT: i32 = 0;
const TOPIC_SIZE: i32 = 1;
const CLIENT_AT: i32 = 2;
const CLIENT_SIZE: i32 = 3;
const VERSION: i32 = 4;
/** -1: no keys are named; else four words of a bit set of keys 0..127 follow. */
const KEYS_NAMED: i32 = 5;
const KEYS: i32 = 6;
const NEXT: i32 = 10;

/**
 * The Kafka rules of one side of a class, indexed by topic and client, so that a look-up costs the same for
 * any number of rules. Read from the bytes that `encodeKafkaRules` writes.
 */
export class RuleTable {
  /** Rules in all. */
  count: i32 = 0;
  /** Where the encoded rules ended; -1 when they are malformed, and then the table allows nothing. */
  end: i32 = -1;
  private bytes: Uint8Array;
  private rules: Int32Array = new Int32Array(0);
  private ids: Int32Array = new Int32Array(0);
  private heads: Int32Array = new Int32Array(1);
  private mask: i32 = 0;
  private anyTopics: boolean = false;
  /** Rules that differ in more than their topic, in order: the first of each kind. */
  private distinct: Int32Array = new Int32Array(0);
  private distinctCount: i32 = 0;

  constructor(bytes: Uint8Array, start: i32) {
    this.bytes = bytes;
    this.heads[0] = -1;
    this.end = this.read(start);
    if (this.end < 0) this.count = 0;
  }

  /** Whether some rule has no topic. */
  get hasAnyTopic(): boolean {
    return this.anyTopics;
  }

  /** The bytes it was read from. */
  get source(): Uint8Array {
    return this.bytes;
  }

  /** Where a rule's id starts in `source`. */
  idStart(rule: i32): i32 {
    return this.ids[rule * 2] as i32;
  }

  idSize(rule: i32): i32 {
    return this.ids[rule * 2 + 1] as i32;
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
    let best: i32 = -1;
    const client: i32 = hash(from, clientAt, clientSize);
    for (let named: i32 = 0; named < 2; named++) {
      if (named === 1 && topicSize < 0) continue;
      const topic: i32 = named === 1 ? hash(topics, topicAt, topicSize) : 0;
      for (let bound: i32 = 0; bound < 2; bound++) {
        const key: i32 = combine(topic, bound === 1 ? client : 0);
        let rule: i32 = this.heads[key & this.mask] as i32;
        while (rule >= 0) {
          if (
            (best < 0 || rule < best) &&
            this.takes(rule, apiKey, apiVersion, apiClass, from, clientAt, clientSize) &&
            this.covers(rule, topics, topicAt, topicSize)
          ) {
            best = rule;
          }
          rule = this.rules[rule * STRIDE + NEXT] as i32;
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
      const rule: i32 = this.distinct[index] as i32;
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
    const at: i32 = rule * STRIDE;
    const version: i32 = this.rules[at + VERSION] as i32;
    if (version >= 0 && version !== apiVersion) return false;
    if ((this.rules[at + KEYS_NAMED] as i32) >= 0) {
      if (apiKey < 0 || apiKey > 127) return false;
      if ((((this.rules[at + KEYS + (apiKey >> 5)] as i32) >> (apiKey & 31)) & 1) === 0) return false;
    } else if (apiClass === CLASS_EXPLICIT && (this.rules[at + TOPIC_SIZE] as i32) >= 0) {
      return false;
    }
    const size: i32 = this.rules[at + CLIENT_SIZE] as i32;
    if (size < 0) return true;
    return same(this.bytes, this.rules[at + CLIENT_AT] as i32, size, from, clientAt, clientSize);
  }

  /** Whether a rule's topic condition lets a topic through; a `topicSize` of -1 stands for all topics. */
  covers(rule: i32, topics: Uint8Array, topicAt: i32, topicSize: i32): boolean {
    const at: i32 = rule * STRIDE;
    const size: i32 = this.rules[at + TOPIC_SIZE] as i32;
    if (size < 0) return true;
    if (topicSize < 0) return false;
    return same(this.bytes, this.rules[at + TOPIC_AT] as i32, size, topics, topicAt, topicSize);
  }

  private read(start: i32): i32 {
    const bytes = this.bytes;
    if (start < 0 || start + 4 > bytes.length) return -1;
    const count: i32 = int32(bytes, start);
    let at: i32 = start + 4;
    if (count < 0 || count > bytes.length - at) return -1;
    let buckets: i32 = 1;
    while (buckets < count * 2) buckets = buckets << 1;
    this.heads = new Int32Array(buckets);
    this.heads.fill(-1);
    this.mask = buckets - 1;
    this.rules = new Int32Array(count * STRIDE);
    this.ids = new Int32Array(count * 2);
    for (let rule: i32 = 0; rule < count; rule++) {
      at = this.readRule(rule, at);
      if (at < 0) return -1;
    }
    this.count = count;
    this.findDistinct();
    return at;
  }

  private findDistinct(): void {
    this.distinct = new Int32Array(this.count);
    const heads = new Int32Array(this.mask + 1);
    const next = new Int32Array(this.count);
    heads.fill(-1);
    for (let rule: i32 = 0; rule < this.count; rule++) {
      const base: i32 = rule * STRIDE;
      let key: i32 = hash(
        this.bytes,
        this.rules[base + CLIENT_AT] as i32,
        this.rules[base + CLIENT_SIZE] as i32,
      );
      for (let index: i32 = VERSION; index < NEXT; index++) {
        key = ((key << 5) - key + (this.rules[base + index] as i32)) | 0;
      }
      const bucket: i32 = (key ^ (key >>> 15)) & this.mask;
      let other: i32 = heads[bucket] as i32;
      while (other >= 0 && !this.alike(rule, other)) other = next[other] as i32;
      if (other >= 0) continue;
      next[rule] = heads[bucket] as i32;
      heads[bucket] = rule;
      this.distinct[this.distinctCount] = rule;
      this.distinctCount++;
    }
  }

  /** Whether two rules differ in nothing but which topic they name. */
  private alike(rule: i32, other: i32): boolean {
    const a: i32 = rule * STRIDE;
    const b: i32 = other * STRIDE;
    for (let index: i32 = VERSION; index < NEXT; index++) {
      if ((this.rules[a + index] as i32) !== (this.rules[b + index] as i32)) return false;
    }
    if ((this.rules[a + TOPIC_SIZE] as i32) < 0 !== (this.rules[b + TOPIC_SIZE] as i32) < 0) return false;
    const size: i32 = this.rules[a + CLIENT_SIZE] as i32;
    const otherSize: i32 = this.rules[b + CLIENT_SIZE] as i32;
    if (size !== otherSize) return false;
    if (size < 0) return true;
    return same(
      this.bytes,
      this.rules[a + CLIENT_AT] as i32,
      size,
      this.bytes,
      this.rules[b + CLIENT_AT] as i32,
      size,
    );
  }

  private readRule(rule: i32, start: i32): i32 {
    const bytes = this.bytes;
    const rules = this.rules;
    const base: i32 = rule * STRIDE;
    let at: i32 = start;
    if (at + 4 > bytes.length) return -1;
    const idSize: i32 = int16(bytes, at);
    const keys: i32 = int16(bytes, at + 2);
    at += 4;
    if (idSize < 0 || at + idSize > bytes.length) return -1;
    this.ids[rule * 2] = at;
    this.ids[rule * 2 + 1] = idSize;
    at += idSize;
    rules[base + KEYS_NAMED] = keys < 0 ? ANY : keys;
    if (keys > 0 && at + keys * 2 > bytes.length) return -1;
    for (let index: i32 = 0; index < keys; index++) {
      const key: i32 = int16(bytes, at);
      at += 2;
      if (key < 0 || key > 127) continue;
      const word: i32 = base + KEYS + (key >> 5);
      rules[word] = (rules[word] as i32) | (1 << (key & 31));
    }
    if (at + 2 > bytes.length) return -1;
    rules[base + VERSION] = int16(bytes, at);
    at = this.readText(base + CLIENT_AT, at + 2);
    if (at < 0) return -1;
    at = this.readText(base + TOPIC_AT, at);
    if (at < 0) return -1;
    const client: i32 = rules[base + CLIENT_SIZE] as i32;
    const topic: i32 = rules[base + TOPIC_SIZE] as i32;
    if (topic < 0) this.anyTopics = true;
    const key: i32 = combine(
      topic < 0 ? 0 : hash(bytes, rules[base + TOPIC_AT] as i32, topic),
      client < 0 ? 0 : hash(bytes, rules[base + CLIENT_AT] as i32, client),
    );
    rules[base + NEXT] = this.heads[key & this.mask] as i32;
    this.heads[key & this.mask] = rule;
    return at;
  }

  /** A length (-1: none) and so many bytes, noted at `slot` and the one behind it. */
  private readText(slot: i32, start: i32): i32 {
    if (start + 2 > this.bytes.length) return -1;
    const size: i32 = int16(this.bytes, start);
    const at: i32 = start + 2;
    if (size > 0 && at + size > this.bytes.length) return -1;
    this.rules[slot] = at;
    this.rules[slot + 1] = size;
    return size < 0 ? at : at + size;
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

function combine(topic: i32, client: i32): i32 {
  const value: i32 = ((topic << 5) - topic + client) | 0;
  return value ^ (value >>> 15);
}
