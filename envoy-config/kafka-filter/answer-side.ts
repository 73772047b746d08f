// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int16, int32 } from '../../l7-policy/src/kafka/rule-table.ts';
import { errorFrame } from './error-frame.ts';
import { FilteredCopy } from './filtered-copy.ts';
import { Source } from './host.ts';
import { InFlight, PASS, RECORDS, REPLACE, VERSIONS } from './in-flight.ts';
import { FETCH, Judgement } from './judge.ts';
import { API_FLEXIBLE, API_RESPONSE, MARK_SESSION_ID } from './layout.ts';
import { Policy } from './policy.ts';
import {
  CLOSED,
  DENIED,
  Ends,
  REASON_ANSWER,
  REASON_MEMORY,
  REASON_NONE,
  REASON_REVOKED,
  REASON_TOO_LARGE,
} from './reports.ts';
import { Request } from './request.ts';
import { AnswerSieve } from './sieves.ts';
import { Tools } from './tools.ts';
import { Writer } from './writer.ts';

/** What happens to the bytes of an answer. */
const HEAD: i32 = 0;
const THROUGH: i32 = 1;
const AWAY: i32 = 2;
const WHOLE: i32 = 3;

/** Size and correlation id. */
const HEAD_BYTES: i32 = 8;
/** Enough of an answer to Fetch for the id of its session, whatever the version. */
const SESSION_BYTES: i32 = 32;

const UNSUPPORTED_VERSION: i32 = 35;
const TOPIC_AUTHORIZATION_FAILED: i32 = 29;
const FETCH_SESSION_ID_NOT_FOUND: i32 = 70;
const SHARE_SESSION_NOT_FOUND: i32 = 122;
const API_VERSIONS: i32 = 18;

/** Takes the answers of one connection, and lets through what the client may see. */
export class AnswerSide {
  private readonly tools: Tools;
  private readonly policy: Policy;
  private readonly ends: Ends;
  private readonly inFlight: Array<InFlight>;
  private readonly judgement: Judgement;
  private state: i32 = HEAD;
  /** Bytes of the present frame that have not come. */
  private left: i32 = 0;
  /** The beginning of a frame, or all of one that is looked at whole. */
  private hold: Writer = new Writer(0);
  /** The fetch session that was opened here last, and the generation of the rules it was opened under. */
  private session: i32 = 0;
  private sessionGeneration: i32 = -1;
  /** The generation of the rules under which share sessions were opened here; -1: none was. */
  shareGeneration: i32 = -1;
  private reason: i32 = REASON_NONE;

  constructor(tools: Tools, policy: Policy, ends: Ends, inFlight: Array<InFlight>, judgement: Judgement) {
    this.tools = tools;
    this.policy = policy;
    this.ends = ends;
    this.inFlight = inFlight;
    this.judgement = judgement;
  }

  /** Whether a fetch session was opened on this connection under the rules in force. */
  isSession(id: i32): boolean {
    return id !== 0 && id === this.session && this.sessionGeneration === this.policy.generation;
  }

  /** Takes bytes, and puts others in their place where it must; false: forward nothing and close. */
  take(source: Source): boolean {
    const out: Writer = this.tools.out;
    const size: i32 = source.size;
    out.size = 0;
    let changed: boolean = false;
    /** What lies before was written to `out`, or is not to be. */
    let passed: i32 = 0;
    let at: i32 = 0;
    while (at < size) {
      if (this.state === HEAD) {
        const need: i32 = this.need(source, at);
        if (need < 0) return this.close();
        const here: i32 = this.hold.size;
        if (here === 0 && size - at >= need) {
          const start: i32 = source.look(at, need);
          if (!this.begin(source.window.bytes, start, start + need, false)) return this.close();
        } else {
          const part: i32 = need - here < size - at ? need - here : size - at;
          changed = true;
          if (passed < at) source.into(out, passed, at - passed);
          if (!this.keep(source, at, part)) return this.close();
          at += part;
          passed = at;
          if (this.hold.size < need) continue;
          // Size alone may have been missing: then more is needed now.
          if (this.need(source, at) > this.hold.size) continue;
          if (!this.begin(this.hold.bytes, 0, this.hold.size, true)) return this.close();
        }
        if (this.state === AWAY || this.state === WHOLE) changed = true;
        if (this.left > 0) continue;
      } else {
        if (this.state === THROUGH && !this.isCurrent()) return this.close();
        const part: i32 = this.left < size - at ? this.left : size - at;
        if (this.state !== THROUGH) {
          if (passed < at) source.into(out, passed, at - passed);
          if (this.state === WHOLE && !this.keep(source, at, part)) return this.close();
          changed = true;
          passed = at + part;
        }
        at += part;
        this.left -= part;
        if (this.left > 0) continue;
      }
      if (!this.finish()) return this.close();
    }
    if (!changed) return true;
    if (passed < at) source.into(out, passed, at - passed);
    source.replace(out, out.size);
    return true;
  }

  /** Gives back what is held. */
  release(): void {
    this.tools.hold(-this.hold.bytes.length);
    this.hold = new Writer(0);
    for (let index: i32 = 0; index < this.inFlight.length; index++) {
      this.tools.hold(-(this.inFlight[index] as InFlight).held);
    }
    this.inFlight.length = 0;
  }

  /** How many bytes of a frame are needed to decide about it; -1 when nobody asked for an answer. */
  private need(source: Source, at: i32): i32 {
    if (this.inFlight.length === 0) {
      this.reason = REASON_ANSWER;
      return -1;
    }
    const entry: InFlight = this.inFlight[0] as InFlight;
    if (entry.kind !== RECORDS) return HEAD_BYTES;
    const here: i32 = this.hold.size;
    if (here < 4 && (here > 0 || source.size - at < 4)) return HEAD_BYTES;
    let size: i32 = 0;
    if (here >= 4) {
      size = int32(this.hold.bytes, 0);
    } else {
      const start: i32 = source.look(at, 4);
      size = int32(source.window.bytes, start);
    }
    return size >= 4 && size < SESSION_BYTES - 4 ? size + 4 : SESSION_BYTES;
  }

  /** Decides about a frame by its first bytes, which are still to come through (`taken`: are in `hold`). */
  private begin(head: Uint8Array, start: i32, end: i32, taken: boolean): boolean {
    const entry: InFlight = this.inFlight[0] as InFlight;
    const frame: i32 = int32(head, start);
    if (frame < 4 || frame > this.tools.limits.frameBytes || int32(head, start + 4) !== entry.correlation) {
      this.reason = frame > this.tools.limits.frameBytes ? REASON_TOO_LARGE : REASON_ANSWER;
      return false;
    }
    this.left = frame + 4 - (taken ? end - start : 0);
    if (entry.kind === PASS || (entry.kind === RECORDS && this.lets(entry, head, start, end))) {
      this.state = THROUGH;
      if (taken) this.flushHold();
    } else if (entry.kind === RECORDS) {
      this.state = AWAY;
      if (taken) this.dropHold();
    } else if (entry.kind === REPLACE) {
      this.state = AWAY;
      if (taken) this.dropHold();
    } else {
      this.state = WHOLE;
    }
    return true;
  }

  /** Whether an answer with records may go through; notes the session that it opens. */
  private lets(entry: InFlight, head: Uint8Array, start: i32, end: i32): boolean {
    if (!this.isStillAllowed(entry)) return false;
    if (entry.request.apiKey === FETCH && !entry.continues) this.noteSession(entry, head, start, end);
    return true;
  }

  private noteSession(entry: InFlight, head: Uint8Array, start: i32, end: i32): void {
    const walker = this.tools.walker;
    const request = entry.request;
    if (request.version < 7) return;
    walker.begin(head, start + HEAD_BYTES, end, request.version, request.flexible);
    if (request.flexible) walker.tagsOf(-1);
    const field: i32 = walker.seek(walker.schema.api(request.api, API_RESPONSE), MARK_SESSION_ID);
    if (field < 0 || walker.failed) return;
    this.session = int32(head, walker.at);
    this.sessionGeneration = entry.generation;
  }

  /** Whether the rules in force allow what the rules of then allowed. */
  private isStillAllowed(entry: InFlight): boolean {
    if (entry.generation === this.policy.generation) return true;
    const request = entry.request;
    // The request may not be there whole, or it may not name all that it gets.
    if (entry.continues || request.end === request.bodyAt) return false;
    const judgement = this.judgement;
    if (!judgement.judge(request, this.tools.walker) || !judgement.allowed) return false;
    entry.generation = this.policy.generation;
    return true;
  }

  /** Asked before more of an answer goes through: an answer with records that became refused is cut. */
  private isCurrent(): boolean {
    const entry: InFlight = this.inFlight[0] as InFlight;
    if (entry.kind !== RECORDS || this.isStillAllowed(entry)) return true;
    this.reason = REASON_REVOKED;
    return false;
  }

  /** The frame has come to its end. */
  private finish(): boolean {
    const entry: InFlight = this.inFlight[0] as InFlight;
    const out: Writer = this.tools.out;
    let fine: boolean = true;
    if (this.state === WHOLE) {
      fine = entry.kind === VERSIONS ? this.cutVersions(entry) : this.filter(entry);
      this.dropHold();
    } else if (this.state === AWAY) {
      const reply: Uint8Array = entry.kind === REPLACE ? entry.reply : this.revoked(entry);
      out.append(reply, 0, reply.length);
    }
    if (!fine) this.reason = REASON_ANSWER;
    this.state = HEAD;
    this.tools.hold(-entry.held);
    this.inFlight.shift();
    return fine;
  }

  /** The answer to a fetch whose records the rules no longer allow. */
  private revoked(entry: InFlight): Uint8Array {
    const request = entry.request;
    const alone: boolean = entry.continues || request.end === request.bodyAt;
    this.report(entry, DENIED, REASON_REVOKED);
    let error: i32 = TOPIC_AUTHORIZATION_FAILED;
    if (alone) error = request.apiKey === FETCH ? FETCH_SESSION_ID_NOT_FOUND : SHARE_SESSION_NOT_FOUND;
    return errorFrame(this.tools.walker, request, error, alone);
  }

  /** Filters the answer in `hold`. */
  private filter(entry: InFlight): boolean {
    const tools = this.tools;
    const request = entry.request;
    const walker = tools.walker;
    if (entry.continues && entry.generation !== this.policy.generation) {
      const reply: Uint8Array = this.revoked(entry);
      tools.out.append(reply, 0, reply.length);
      return true;
    }
    if (request.apiKey === FETCH && !entry.continues)
      this.noteSession(
        entry,
        this.hold.bytes,
        0,
        this.hold.size < SESSION_BYTES ? this.hold.size : SESSION_BYTES,
      );
    const start: i32 = tools.out.size;
    tools.out.append(this.hold.bytes, 0, HEAD_BYTES);
    walker.begin(this.hold.bytes, HEAD_BYTES, this.hold.size, request.version, request.flexible);
    if (request.flexible) this.copyTags();
    const copy = new FilteredCopy(walker, tools.out, new AnswerSieve(this.judgement, entry, tools.asked));
    if (!copy.struct(tools.schema.api(request.api, API_RESPONSE)) || walker.at !== walker.end) return false;
    tools.out.int32At(start, tools.out.size - start - 4);
    return true;
  }

  private copyTags(): void {
    const walker = this.tools.walker;
    const start: i32 = walker.at;
    walker.tagsOf(-1);
    this.tools.out.append(walker.bytes, start, walker.at);
  }

  /** Cuts the versions in the answer in `hold` to those that are understood. */
  private cutVersions(entry: InFlight): boolean {
    const tools = this.tools;
    const hold = this.hold;
    const walker = tools.walker;
    if (hold.size < HEAD_BYTES + 2) return false;
    // An error about the version comes in the first version, whatever was asked.
    const asked: i32 = entry.downgrade ? 0 : entry.request.version;
    const version: i32 = int16(hold.bytes, HEAD_BYTES) === UNSUPPORTED_VERSION ? 0 : asked;
    const api: i32 = tools.schema.find(API_VERSIONS, version);
    const start: i32 = tools.out.size;
    tools.out.append(hold.bytes, 0, HEAD_BYTES);
    walker.begin(hold.bytes, HEAD_BYTES, hold.size, version, version >= tools.schema.api(api, API_FLEXIBLE));
    const copy = new FilteredCopy(walker, tools.out, new AnswerSieve(this.judgement, entry, tools.asked));
    if (entry.downgrade) copy.errorCode = UNSUPPORTED_VERSION;
    if (!copy.struct(tools.schema.api(api, API_RESPONSE)) || walker.at !== walker.end) return false;
    tools.out.int32At(start, tools.out.size - start - 4);
    return true;
  }

  private keep(source: Source, at: i32, size: i32): boolean {
    if (!this.tools.hold(this.hold.growth(size))) {
      this.reason = REASON_MEMORY;
      return false;
    }
    source.into(this.hold, at, size);
    return true;
  }

  private flushHold(): void {
    this.tools.out.append(this.hold.bytes, 0, this.hold.size);
    this.dropHold();
  }

  private dropHold(): void {
    this.tools.hold(-this.hold.bytes.length);
    this.hold = new Writer(0);
  }

  private close(): boolean {
    // An answer that nobody asked for has no request.
    const none = new Request();
    const entry = this.inFlight.length > 0 ? (this.inFlight[0] as InFlight) : new InFlight(PASS, none, none);
    this.report(entry, CLOSED, this.reason);
    return false;
  }

  /** Reports what became of a request's answer, with the topics of that request as far as it was kept. */
  private report(entry: InFlight, verdict: i32, reason: i32): void {
    const request: Request = entry.request.end > 0 ? entry.request : new Request();
    const judgement = this.judgement;
    request.apiKey = entry.apiKey;
    request.version = entry.version;
    request.correlation = entry.correlation;
    if (request.end === request.bodyAt || !judgement.judge(request, this.tools.walker)) judgement.reset();
    this.tools.reports.add(this.policy, this.ends, request, judgement, verdict, reason);
  }
}
