// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { CLASS_EXPLICIT } from '../../l7-policy/src/kafka/rule-table.ts';
import { AnswerSide } from './answer-side.ts';
import { errorFrame } from './error-frame.ts';
import { FilteredCopy } from './filtered-copy.ts';
import { FILTER, InFlight, PASS, RECORDS, REPLACE, VERSIONS } from './in-flight.ts';
import {
  API_VERSIONS,
  FETCH,
  Judgement,
  METADATA,
  PRODUCE,
  SHARE_ACKNOWLEDGE,
  SHARE_FETCH,
} from './judge.ts';
import {
  API_CLASS,
  API_ERROR,
  API_FLAGS,
  API_REQUEST,
  FLAG_FILTERED,
  FLAG_LEARNT,
  FLAG_PARTIAL,
} from './layout.ts';
import { Policy } from './policy.ts';
import {
  ALLOWED,
  CLOSED,
  DENIED,
  Ends,
  PARTIAL,
  REASON_MALFORMED,
  REASON_MEMORY,
  REASON_NONE,
  REASON_PIPELINE,
  REASON_RULES,
  REASON_SESSION,
  REASON_UNKNOWN_API,
  REASON_UNKNOWN_ID,
} from './reports.ts';
import { Request } from './request.ts';
import { RequestSieve } from './sieves.ts';
import { Tools } from './tools.ts';
import { Writer } from './writer.ts';

/** What becomes of a request frame. */
export const FRAME_PASS: i32 = 0;
/** `Tools.frame` takes its place; when that is empty, nothing does. */
export const FRAME_REPLACED: i32 = 1;
export const FRAME_CLOSE: i32 = 2;

/** Errors of Kafka. */
const TOPIC_AUTHORIZATION_FAILED: i32 = 29;
const FETCH_SESSION_ID_NOT_FOUND: i32 = 70;
const UNKNOWN_TOPIC_ID: i32 = 100;
const SHARE_SESSION_NOT_FOUND: i32 = 122;

/** A larger fetch request is not kept for its answer, which then ends the connection when the rules change. */
const MOST_KEPT: i32 = 65536;

/** Fewer records are not worth letting a request go on in part. */
const LEAST_LED: i32 = 1024;

/** Judges the requests of one connection, and notes what their answers need. */
export class RequestSide {
  private readonly tools: Tools;
  private readonly policy: Policy;
  private readonly ends: Ends;
  private readonly inFlight: Array<InFlight>;
  private readonly judgement: Judgement;
  private readonly answers: AnswerSide;
  private readonly request: Request = new Request();

  constructor(
    tools: Tools,
    policy: Policy,
    ends: Ends,
    inFlight: Array<InFlight>,
    judgement: Judgement,
    answers: AnswerSide,
  ) {
    this.tools = tools;
    this.policy = policy;
    this.ends = ends;
    this.inFlight = inFlight;
    this.judgement = judgement;
    this.answers = answers;
  }

  /** Decides about a whole frame. */
  frame(bytes: Uint8Array, start: i32, end: i32): i32 {
    const tools = this.tools;
    const request = this.request;
    const judgement = this.judgement;
    judgement.reset();
    if (!request.read(bytes, start, end, tools.schema, tools.walker)) return this.close(REASON_MALFORMED);
    if (this.inFlight.length >= tools.limits.inFlight) return this.close(REASON_PIPELINE);
    if (request.api < 0) return this.close(REASON_UNKNOWN_API);
    if (request.newer) return this.downgrade();
    if (!judgement.judge(request, tools.walker)) return this.close(REASON_MALFORMED);
    const session: i32 = this.sessionError();
    if (session < 0) return this.close(REASON_SESSION);
    if (session > 0) return this.refuse(session, REASON_SESSION, true);
    if (judgement.allowed) return this.pass();
    if (this.canStrip()) return this.strip();
    if (judgement.refused > 0 && judgement.refused === judgement.unknown)
      return this.refuse(UNKNOWN_TOPIC_ID, REASON_UNKNOWN_ID, false);
    const topics: boolean =
      judgement.refused > 0 && tools.schema.api(request.api, API_CLASS) !== CLASS_EXPLICIT;
    const error: i32 = topics ? TOPIC_AUTHORIZATION_FAILED : tools.schema.api(request.api, API_ERROR);
    return this.refuse(error, REASON_RULES, false);
  }

  /**
   * How far a Produce request may go on before it is there whole; 0: not at all. It may to the end of the records that
   * come now, where all its topics are known and allowed. `Tools.frame` is then its beginning without those records:
   * with what comes behind them, it is judged once more. At least a byte does, so none is a request till then.
   */
  lead(bytes: Uint8Array, start: i32, come: i32, end: i32): i32 {
    const tools = this.tools;
    const schema = tools.schema;
    const walker = tools.walker;
    const request = this.request;
    const judgement = this.judgement;
    if (!request.read(bytes, start, come, schema, walker) || request.api < 0) return 0;
    if (request.apiKey !== PRODUCE) return 0;
    walker.begin(bytes, request.bodyAt, end, request.version, request.flexible);
    walker.come = come;
    walker.noting = true;
    walker.struct(schema.api(request.api, API_REQUEST));
    walker.noting = false;
    if (walker.bytesAt < 0 || walker.at - come < LEAST_LED) return 0;
    judgement.reset();
    judgement.weigh(request, walker);
    if (walker.failed && walker.outermost !== judgement.topicSize.length) return 0;
    if (!judgement.allowed) return 0;
    const kept: i32 = walker.at === end ? 1 : 0;
    const stop: i32 = walker.at - kept;
    const out: Writer = tools.frame;
    out.size = 0;
    out.append(bytes, start, walker.bytesAt);
    if (request.flexible) out.byte(kept + 1);
    else out.int32(kept);
    out.int32At(0, out.size + end - stop - 4);
    return stop;
  }

  /** The error of a request within a session that was not opened here under these rules; -1 ends the connection. */
  private sessionError(): i32 {
    const judgement = this.judgement;
    const apiKey: i32 = this.request.apiKey;
    if (apiKey === FETCH) {
      if (judgement.sessionEpoch <= 0 || this.answers.isSession(judgement.sessionId)) return 0;
      return FETCH_SESSION_ID_NOT_FOUND;
    }
    if (apiKey !== SHARE_FETCH && apiKey !== SHARE_ACKNOWLEDGE) return 0;
    // A broker ties share sessions to their connection, so closing it ends those of older rules.
    if (this.answers.shareGeneration === this.policy.generation) return 0;
    if (this.answers.shareGeneration >= 0) return -1;
    return judgement.sessionEpoch > 0 ? SHARE_SESSION_NOT_FOUND : 0;
  }

  private pass(): i32 {
    const request = this.request;
    const judgement = this.judgement;
    const apiKey: i32 = request.apiKey;
    const flags: i32 = this.tools.schema.api(request.api, API_FLAGS);
    this.report(ALLOWED, REASON_NONE);
    if (apiKey === PRODUCE && judgement.acks === 0) return FRAME_PASS;
    if (apiKey === SHARE_FETCH && judgement.sessionEpoch === 0)
      this.answers.shareGeneration = this.policy.generation;
    let kind: i32 = PASS;
    if (apiKey === API_VERSIONS) kind = VERSIONS;
    else if (apiKey === FETCH || apiKey === SHARE_FETCH) kind = RECORDS;
    else if ((flags & FLAG_LEARNT) !== 0) kind = FILTER;
    else if ((flags & FLAG_FILTERED) !== 0 && !judgement.permitsAll(request)) kind = FILTER;
    const entry = new InFlight(kind, request, kind === PASS ? none : this.kept(kind));
    entry.continues = (apiKey === FETCH || apiKey === SHARE_FETCH) && judgement.sessionEpoch > 0;
    return this.push(entry) ? FRAME_PASS : this.close(REASON_MEMORY);
  }

  /** A copy of the request, of its header alone where that is enough. */
  private kept(kind: i32): Request {
    const request = this.request;
    const size: i32 = request.end - request.start;
    const whole: boolean = kind === FILTER || (kind === RECORDS && size <= MOST_KEPT);
    const bytes: Uint8Array = request.bytes.slice(request.start, whole ? request.end : request.bodyAt);
    const copy = new Request();
    copy.read(bytes, 0, bytes.length, this.tools.schema, this.tools.walker);
    return copy;
  }

  /** Whether the request can go on without its refused topics. */
  private canStrip(): boolean {
    const request = this.request;
    const judgement = this.judgement;
    if ((this.tools.schema.api(request.api, API_FLAGS) & FLAG_PARTIAL) === 0 || !judgement.rest) return false;
    if (!judgement.permitsKind(request)) return false;
    if (request.apiKey === METADATA) return true;
    if (request.apiKey === FETCH && judgement.sessionEpoch > 0) return true;
    return judgement.refused < judgement.topicSize.length;
  }

  private strip(): i32 {
    const tools = this.tools;
    const judgement = this.judgement;
    this.report(PARTIAL, judgement.refused === judgement.unknown ? REASON_UNKNOWN_ID : REASON_RULES);
    const request: Request = this.kept(FILTER);
    const entry = new InFlight(FILTER, request, request);
    entry.leaveOut();
    entry.continues = request.apiKey === FETCH && judgement.sessionEpoch > 0;
    // An empty list asks for all in Metadata 0: everything that comes is left out then.
    entry.nothing =
      request.apiKey === METADATA &&
      request.version === 0 &&
      judgement.refused === judgement.topicSize.length;
    const out: Writer = tools.frame;
    out.size = 0;
    out.append(request.bytes, 0, request.bodyAt);
    const sieve = new RequestSieve(judgement, entry, tools.walker);
    const copy = new FilteredCopy(tools.walker, out, sieve);
    tools.walker.begin(request.bytes, request.bodyAt, request.end, request.version, request.flexible);
    if (!copy.struct(tools.schema.api(request.api, API_REQUEST))) return this.close(REASON_MALFORMED);
    out.int32At(0, out.size - 4);
    return this.push(entry) ? FRAME_REPLACED : this.close(REASON_MEMORY);
  }

  /** Refuses in the protocol's words; `alone`: with one error and none for each topic. */
  private refuse(error: i32, reason: i32, alone: boolean): i32 {
    const tools = this.tools;
    const request = this.request;
    this.report(DENIED, reason);
    if (request.apiKey === PRODUCE && this.judgement.acks === 0) {
      tools.frame.size = 0;
      return FRAME_REPLACED;
    }
    const entry = new InFlight(REPLACE, request, none);
    entry.reply = errorFrame(tools.walker, request, error, alone);
    return this.ask(entry);
  }

  /** Answers a version of ApiVersions that is not understood as brokers do: with the error and all versions. */
  private downgrade(): i32 {
    if (!this.judgement.permitsKind(this.request)) return this.close(REASON_UNKNOWN_API);
    this.report(ALLOWED, REASON_NONE);
    const entry = new InFlight(VERSIONS, this.request, none);
    entry.downgrade = true;
    return this.ask(entry);
  }

  /** Puts a request for API versions, which every broker answers in any state, in the place of the frame. */
  private ask(entry: InFlight): i32 {
    const out: Writer = this.tools.frame;
    out.size = 0;
    out.int32(10);
    out.int16(API_VERSIONS);
    out.int16(0);
    out.int32(entry.correlation);
    out.int16(-1);
    return this.push(entry) ? FRAME_REPLACED : this.close(REASON_MEMORY);
  }

  private push(entry: InFlight): boolean {
    entry.generation = this.policy.generation;
    entry.held = entry.reply.length + entry.request.bytes.length;
    if (!this.tools.hold(entry.held)) return false;
    this.inFlight.push(entry);
    return true;
  }

  private report(verdict: i32, reason: i32): void {
    this.tools.reports.add(this.policy, this.ends, this.request, this.judgement, verdict, reason);
  }

  private close(reason: i32): i32 {
    this.report(CLOSED, reason);
    return FRAME_CLOSE;
  }
}

/** Stands where no request is kept. */
const none: Request = new Request();
