// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { RuleTable } from '../../l7-policy/src/kafka/rule-table.ts';
import { Host } from './host.ts';
import { Judgement } from './judge.ts';
import { Policy } from './policy.ts';
import { Request } from './request.ts';
import { Writer } from './writer.ts';

/** What became of a request; `src/kafka/decode-reports.ts` has their names. */
export const ALLOWED: i32 = 0;
export const DENIED: i32 = 1;
/** Refused topics were left out. */
export const PARTIAL: i32 = 2;
/** The connection was closed. */
export const CLOSED: i32 = 3;

/** Why a request was not allowed. */
export const REASON_NONE: i32 = 0;
export const REASON_RULES: i32 = 1;
/** A fetch session that was not opened on this connection under the rules in force. */
export const REASON_SESSION: i32 = 2;
export const REASON_UNKNOWN_ID: i32 = 3;
export const REASON_MALFORMED: i32 = 4;
export const REASON_UNKNOWN_API: i32 = 5;
export const REASON_TOO_LARGE: i32 = 6;
export const REASON_MEMORY: i32 = 7;
export const REASON_PIPELINE: i32 = 8;
/** The answer is not that of the request, or malformed. */
export const REASON_ANSWER: i32 = 9;
/** The rules changed while a request or an answer was under way. */
export const REASON_REVOKED: i32 = 10;

/** Reports that wait; what comes on top is counted and dropped. */
const MOST_BYTES: i32 = 262144;
/** Topics that one report names. */
const MOST_TOPICS: i32 = 16;

/** Who is connected by which class: both ends as `ADDRESS:PORT`. */
export class Ends {
  private readonly written: Writer = new Writer(0);

  /** Takes them, and the class that judges their connection. */
  set(classId: Uint8Array, source: Uint8Array, destination: Uint8Array): void {
    this.written.size = 0;
    text(this.written, classId, 0, classId.length);
    text(this.written, source, 0, source.length);
    text(this.written, destination, 0, destination.length);
  }

  /** Class and ends, as every report of the connection begins with them. */
  write(out: Writer): void {
    out.append(this.written.bytes, 0, this.written.size);
  }
}

/** Reports of requests that wait until they are sent. */
export class Reports {
  readonly out: Writer = new Writer(4096);
  dropped: i32 = 0;
  private readonly host: Host;

  constructor(host: Host) {
    this.host = host;
  }

  /** Whether anything waits. */
  get waiting(): boolean {
    return this.out.size > 0 || this.dropped > 0;
  }

  /** Forgets what was sent. */
  clear(): void {
    this.out.size = 0;
    this.dropped = 0;
  }

  add(policy: Policy, ends: Ends, request: Request, judgement: Judgement, verdict: i32, reason: i32): void {
    const out = this.out;
    if (out.size > MOST_BYTES) {
      this.dropped++;
      return;
    }
    const start: i32 = out.size;
    out.int32(0);
    this.host.stamp(out);
    ends.write(out);
    out.int16(request.apiKey);
    out.int16(request.version);
    out.int32(request.correlation);
    text(out, request.bytes, request.clientAt, request.clientSize < 0 ? 0 : request.clientSize);
    out.byte(verdict);
    out.byte(reason);
    out.byte(judgement.sides);
    const topics: i32 = judgement.topicSize.length;
    const shown: i32 = topics < MOST_TOPICS ? topics : MOST_TOPICS;
    out.int32(topics);
    out.byte(shown);
    for (let index: i32 = 0; index < shown; index++) {
      out.byte((judgement.topicRefused[index] as boolean) ? 1 : 0);
      const size: i32 = judgement.topicSize[index] as i32;
      text(
        out,
        judgement.topicBytes[index] as Uint8Array,
        judgement.topicAt[index] as i32,
        size < 0 ? 0 : size,
      );
    }
    rules(out, policy.egress, judgement.egressRules);
    rules(out, policy.ingress, judgement.ingressRules);
    out.int32At(start, out.size - start);
  }
}

function rules(out: Writer, table: RuleTable | null, numbers: Array<i32>): void {
  if (table === null) {
    out.byte(0);
    return;
  }
  out.byte(numbers.length);
  for (let index: i32 = 0; index < numbers.length; index++) {
    const rule: i32 = numbers[index] as i32;
    text(out, table.source, table.idStart(rule), table.idSize(rule));
  }
}

function text(out: Writer, bytes: Uint8Array, at: i32, size: i32): void {
  out.int16(size);
  out.append(bytes, at, at + size);
}
