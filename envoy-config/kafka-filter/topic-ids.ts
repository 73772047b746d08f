// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { hash, same } from '../../l7-policy/src/kafka/rule-table.ts';
import { Host } from './host.ts';

/** Topics that one VM remembers in one scope, and leaves for the others. More are unknown, and so refused. */
const MOST_TOPICS: i32 = 65536;
const BUCKETS: i32 = 4096;
const ID_SIZE: i32 = 16;

/**
 * Names of topics by their ids, learnt from answers. A scope keeps what one set of brokers says from what others
 * say: a hostile broker cannot give a harmless name to another's topic.
 */
export class TopicIds {
  private readonly host: Host;
  private readonly scope: Uint8Array;
  private heads: Int32Array = new Int32Array(BUCKETS);
  private next: Array<i32> = [];
  private ids: Array<Uint8Array> = [];
  private names: Array<Uint8Array> = [];

  constructor(host: Host, scope: Uint8Array) {
    this.host = host;
    this.scope = scope;
    this.heads.fill(-1);
  }

  /** The name of a topic; null while it is unknown. */
  find(bytes: Uint8Array, at: i32): Uint8Array | null {
    const index: i32 = this.indexOf(bytes, at);
    if (index >= 0) return this.names[index] as Uint8Array;
    const name = this.host.read(this.key(bytes, at));
    if (name !== null) this.keep(bytes, at, name);
    return name;
  }

  learn(bytes: Uint8Array, at: i32, nameAt: i32, nameSize: i32): void {
    if (nameSize <= 0 || isZero(bytes, at)) return;
    const index: i32 = this.indexOf(bytes, at);
    if (index >= 0) {
      const known: Uint8Array = this.names[index] as Uint8Array;
      if (same(known, 0, known.length, bytes, nameAt, nameSize)) return;
    }
    const name: Uint8Array = bytes.slice(nameAt, nameAt + nameSize);
    if (index >= 0) this.names[index] = name;
    else if (!this.keep(bytes, at, name)) return;
    this.host.leave(this.key(bytes, at), name);
  }

  private keep(bytes: Uint8Array, at: i32, name: Uint8Array): boolean {
    if (this.ids.length >= MOST_TOPICS) return false;
    const bucket: i32 = hash(bytes, at, ID_SIZE) & (BUCKETS - 1);
    this.next.push(this.heads[bucket] as i32);
    this.heads[bucket] = this.ids.length;
    this.ids.push(bytes.slice(at, at + ID_SIZE));
    this.names.push(name);
    return true;
  }

  private indexOf(bytes: Uint8Array, at: i32): i32 {
    let index: i32 = this.heads[hash(bytes, at, ID_SIZE) & (BUCKETS - 1)] as i32;
    while (index >= 0) {
      if (same(this.ids[index] as Uint8Array, 0, ID_SIZE, bytes, at, ID_SIZE)) return index;
      index = this.next[index] as i32;
    }
    return -1;
  }

  private key(bytes: Uint8Array, at: i32): Uint8Array {
    const key = new Uint8Array(this.scope.length + ID_SIZE);
    key.set(this.scope, 0);
    key.set(bytes.subarray(at, at + ID_SIZE), this.scope.length);
    return key;
  }
}

/** Whether an id is the one that stands for none. */
export function isZero(bytes: Uint8Array, at: i32): boolean {
  for (let index: i32 = 0; index < ID_SIZE; index++) {
    if ((bytes[at + index] as i32) !== 0) return false;
  }
  return true;
}
