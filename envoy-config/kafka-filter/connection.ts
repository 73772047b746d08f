// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int32 } from '../../l7-policy/src/kafka/rule-table.ts';
import { AnswerSide } from './answer-side.ts';
import { Source } from './host.ts';
import { InFlight } from './in-flight.ts';
import { Judgement } from './judge.ts';
import { Policy } from './policy.ts';
import { CLOSED, Ends, REASON_MEMORY, REASON_TOO_LARGE } from './reports.ts';
import { Request } from './request.ts';
import { FRAME_CLOSE, FRAME_PASS, RequestSide } from './request-side.ts';
import { Tools } from './tools.ts';
import { Writer } from './writer.ts';

/** What a callback has to do with the bytes it was called for. */
export const KEEP: i32 = 0;
/** Put those of `Tools.out` in their place. */
export const REPLACED: i32 = 1;
/** Forward nothing and close. */
export const CLOSE: i32 = 2;

/** A hold of at most so many bytes is kept for the next frame. */
const SMALL_HOLD: i32 = 4096;

/** One connection of a client to a broker: what goes through, in both directions. */
export class Connection {
  private readonly tools: Tools;
  private readonly policy: Policy;
  readonly ends: Ends;
  private readonly requests: RequestSide;
  private readonly answers: AnswerSide;
  /** The part of a request that has come. */
  private hold: Writer = new Writer(0);
  private closed: boolean = false;

  constructor(tools: Tools, policy: Policy, ends: Ends) {
    const inFlight: Array<InFlight> = [];
    const judgement = new Judgement(policy, tools.schema);
    this.tools = tools;
    this.policy = policy;
    this.ends = ends;
    const answers = new AnswerSide(tools, policy, ends, inFlight, judgement);
    this.answers = answers;
    this.requests = new RequestSide(tools, policy, ends, inFlight, judgement, answers);
  }

  /** Takes bytes of the client. */
  onRequest(source: Source): i32 {
    if (this.closed) return CLOSE;
    const tools = this.tools;
    const out = tools.out;
    const chunk: Uint8Array = source.read(0, source.size);
    const held: boolean = this.hold.size > 0;
    if (held && !this.keep(chunk, 0, chunk.length)) return this.close(REASON_MEMORY);
    const bytes: Uint8Array = held ? this.hold.bytes : chunk;
    const end: i32 = held ? this.hold.size : chunk.length;
    let changed: boolean = held;
    let passed: i32 = 0;
    let at: i32 = 0;
    out.size = 0;
    while (end - at >= 4) {
      const size: i32 = int32(bytes, at);
      if (size < 0 || size > tools.limits.frameBytes) return this.close(REASON_TOO_LARGE);
      if (size > end - at - 4) break;
      const next: i32 = at + 4 + size;
      const action: i32 = this.requests.frame(bytes, at, next);
      if (action === FRAME_CLOSE) return this.close(-1);
      if (action !== FRAME_PASS) {
        changed = true;
        out.append(bytes, passed, at);
        out.append(tools.frame.bytes, 0, tools.frame.size);
        passed = next;
      }
      at = next;
    }
    if (at < end) changed = true;
    if (!changed) return KEEP;
    out.append(bytes, passed, at);
    if (held) this.shrink(at);
    else if (!this.keep(bytes, at, end)) return this.close(REASON_MEMORY);
    return REPLACED;
  }

  /** Takes bytes of the broker. */
  onAnswer(source: Source): i32 {
    if (this.closed) return CLOSE;
    const action: i32 = this.answers.take(source);
    if (action === CLOSE) this.release();
    return action;
  }

  /** Gives back what the connection holds. */
  release(): void {
    if (this.closed) return;
    this.closed = true;
    this.tools.hold(-this.hold.bytes.length);
    this.hold = new Writer(0);
    this.answers.release();
  }

  private keep(bytes: Uint8Array, start: i32, end: i32): boolean {
    if (start >= end) return true;
    // What is kept together has at most a frame and a callback's bytes, so this stays far from 31 bits.
    if (!this.tools.hold(this.hold.growth(end - start))) return false;
    this.hold.append(bytes, start, end);
    return true;
  }

  /** Forgets the first bytes of the hold. */
  private shrink(used: i32): void {
    const hold = this.hold;
    const left: i32 = hold.size - used;
    if (used === 0) return;
    if (left === 0 && hold.bytes.length > SMALL_HOLD) {
      this.tools.hold(-hold.bytes.length);
      this.hold = new Writer(0);
      return;
    }
    hold.bytes.copyWithin(0, used, hold.size);
    hold.size = left;
  }

  /** Closes; a reason of -1 has been reported already. */
  private close(reason: i32): i32 {
    if (reason >= 0) {
      const judgement = new Judgement(this.policy, this.tools.schema);
      this.tools.reports.add(this.policy, this.ends, new Request(), judgement, CLOSED, reason);
    }
    this.release();
    return CLOSE;
  }
}
