// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int32 } from '../../l7-policy/src/kafka/rule-table.ts';
import { AnswerSide } from './answer-side.ts';
import { Source } from './host.ts';
import { InFlight } from './in-flight.ts';
import { Judgement } from './judge.ts';
import { Policy } from './policy.ts';
import { CLOSED, Ends, REASON_MEMORY, REASON_REVOKED, REASON_TOO_LARGE } from './reports.ts';
import { Request } from './request.ts';
import { FRAME_CLOSE, FRAME_PASS, RequestSide } from './request-side.ts';
import { Tools } from './tools.ts';
import { Writer } from './writer.ts';

/** A request of which so many bytes are missing may go on before it is there whole. */
const LARGE: i32 = 16384;
/** So much of it is looked at first; where more was held, it was asked before whether it may. */
const HEADER: i32 = 512;
/** The beginning of most requests, up to their first batch, is not longer. */
const USUAL_HEADER: i32 = 128;
/** What stands for a request that has gone on in part grows with its partitions; from here on the rest is held. */
const MOST_LED: i32 = 1024;

/** A hold of at most so many bytes is kept for the next frame. */
const SMALL_HOLD: i32 = 4096;

/** One connection of a client to a broker: what goes through, in both directions. */
export class Connection {
  private readonly tools: Tools;
  private readonly policy: Policy;
  private readonly ends: Ends;
  private readonly requests: RequestSide;
  private readonly answers: AnswerSide;
  /** The part of a request that has come. */
  private hold: Writer = new Writer(0);
  /** Bytes that come next and go through unseen. */
  private through: i32 = 0;
  /** How much of the hold stands for a request that has gone on in part. */
  private led: i32 = 0;
  /** In a callback: of the bytes before, what is to go on is in `Tools.out`. */
  private taken: i32 = 0;
  private closed: boolean = false;

  constructor(tools: Tools, policy: Policy) {
    const inFlight: Array<InFlight> = [];
    const judgement = new Judgement(policy, tools.schema);
    this.tools = tools;
    this.policy = policy;
    const ends = new Ends();
    ends.set(policy.classId, new Uint8Array(0), new Uint8Array(0));
    this.ends = ends;
    const answers = new AnswerSide(tools, policy, ends, inFlight, judgement);
    this.answers = answers;
    this.requests = new RequestSide(tools, policy, ends, inFlight, judgement, answers);
  }

  /** Takes who is connected, for reports. */
  setEnds(source: Uint8Array, destination: Uint8Array): void {
    this.ends.set(this.policy.classId, source, destination);
  }

  /** Takes bytes of the client, and puts others in their place where it must; false: forward nothing and close. */
  onRequest(source: Source): boolean {
    if (this.closed) return false;
    const out = this.tools.out;
    out.size = 0;
    this.taken = 0;
    let at: i32 = 0;
    while (at < source.size) {
      if (this.through > 0) {
        const size: i32 = this.through < source.size - at ? this.through : source.size - at;
        this.through -= size;
        at += size;
      } else {
        const next: i32 = this.nextPart(source, at);
        if (!this.takePart(source, at, next)) return false;
        at = next;
      }
    }
    if (this.taken === 0) return true;
    source.into(out, this.taken, at - this.taken);
    source.replace(out, out.size);
    return true;
  }

  /** How far to look: a little at a time where much of a request may go on unseen. */
  private nextPart(source: Source, at: i32): i32 {
    const hold = this.hold;
    const left: i32 = source.size - at;
    let size: i32 = left;
    if (this.led > 0) {
      size = 4 + int32(hold.bytes, 0) - hold.size;
      if (size > LARGE && this.mayLead(hold.size)) size = HEADER;
      // The beginning of the next request comes with the end of this one.
      if (size <= HEADER) source.look(at, size < left ? size : left);
    } else if (hold.size === 0 && left >= LARGE) {
      const start: i32 = source.look(at, USUAL_HEADER);
      if (int32(source.window.bytes, start) > LARGE) size = source.window.size - start;
    }
    return size < left ? at + size : source.size;
  }

  /** Whether a request that has gone on in part may do so once more, with so many bytes in the hold. */
  private mayLead(held: i32): boolean {
    return this.led <= MOST_LED && held - this.led <= HEADER;
  }

  /** Takes a part of a callback's bytes. */
  private takePart(source: Source, start: i32, stop: i32): boolean {
    const tools = this.tools;
    const out = tools.out;
    const led: i32 = this.led;
    const before: i32 = this.hold.size;
    const from: Writer = before > 0 ? this.hold : tools.chunk;
    if (before === 0) from.size = 0;
    else if (!tools.hold(from.growth(stop - start))) return this.close(REASON_MEMORY);
    source.into(from, start, stop - start);
    const bytes: Uint8Array = from.bytes;
    const end: i32 = from.size;
    let changed: boolean = false;
    let passed: i32 = led;
    let at: i32 = 0;
    let through: i32 = 0;
    while (end - at >= 4) {
      const size: i32 = int32(bytes, at);
      if (size < 0 || size > tools.limits.frameBytes) return this.close(REASON_TOO_LARGE);
      const next: i32 = at + 4 + size;
      if (next > end) {
        if (next - end >= LARGE && (at >= led ? before - at <= HEADER : this.mayLead(before)))
          through = this.requests.lead(bytes, at, end, next);
        break;
      }
      const action: i32 = this.requests.frame(bytes, at, next);
      if (action === FRAME_CLOSE) return this.close(-1);
      if (action !== FRAME_PASS) {
        // What has gone on already cannot be replaced.
        if (at < led) return this.close(REASON_REVOKED);
        if (!changed) source.into(out, this.taken, start - this.taken);
        changed = true;
        out.append(bytes, passed, at);
        out.append(tools.frame.bytes, 0, tools.frame.size);
        passed = next;
      }
      at = next;
    }
    const pass: i32 = through > 0 ? end : at;
    if (changed || pass < end || before > led) {
      if (!changed) source.into(out, this.taken, start - this.taken);
      out.append(bytes, passed, pass);
      this.taken = stop;
    }
    if (through > 0) return this.lead(through - end);
    if (at > 0) this.led = 0;
    if (before > 0) this.shrink(at);
    else if (!this.keep(bytes, at, end)) return this.close(REASON_MEMORY);
    return true;
  }

  /** Lets so many bytes through that belong to the request of which `Tools.frame` is the beginning. */
  private lead(through: i32): boolean {
    const frame = this.tools.frame;
    this.shrink(this.hold.size);
    if (!this.keep(frame.bytes, 0, frame.size)) return this.close(REASON_MEMORY);
    this.through = through;
    this.led = frame.size;
    return true;
  }

  /** Takes bytes of the broker, as those of the client. */
  onAnswer(source: Source): boolean {
    if (this.closed) return false;
    if (this.answers.take(source)) return true;
    this.release();
    return false;
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
  private close(reason: i32): boolean {
    if (reason >= 0) {
      const judgement = new Judgement(this.policy, this.tools.schema);
      this.tools.reports.add(this.policy, this.ends, new Request(), judgement, CLOSED, reason);
    }
    this.release();
    return false;
  }
}
