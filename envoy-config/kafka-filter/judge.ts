// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { CLASS_EXPLICIT, CLASS_TOPIC, int32, RuleTable } from '../../l7-policy/src/kafka/rule-table.ts';
import {
  API_CLASS,
  API_FLAGS,
  API_REQUEST,
  FLAG_ANY_RULE,
  MARK_ACKS,
  MARK_PATTERN,
  MARK_RESOURCE_NAME,
  MARK_RESOURCE_TYPE,
  MARK_SESSION_EPOCH,
  MARK_SESSION_ID,
  MARK_TOPIC,
  MARK_TOPIC_ID,
} from './layout.ts';
import { Policy } from './policy.ts';
import { Request } from './request.ts';
import { Schema } from './schema.ts';
import { isZero } from './topic-ids.ts';
import { Walker } from './walker.ts';

/** ConfigResource.Type of Kafka: the resource is a topic. */
const RESOURCE_TOPIC: i32 = 2;

/** API keys with rules of their own. */
export const PRODUCE: i32 = 0;
export const FETCH: i32 = 1;
export const METADATA: i32 = 3;
export const API_VERSIONS: i32 = 18;
export const SHARE_FETCH: i32 = 78;
export const SHARE_ACKNOWLEDGE: i32 = 79;

/** Rules that a judgement names at most for one side. */
const MOST_RULES: i32 = 16;

/** What the rules say about one request, and what the request says that matters. */
export class Judgement {
  readonly policy: Policy;
  private readonly schema: Schema;
  /** The topics that the request names, and whether each was refused. */
  topicBytes: Array<Uint8Array> = [];
  topicAt: Array<i32> = [];
  topicSize: Array<i32> = [];
  topicRefused: Array<boolean> = [];
  refused: i32 = 0;
  /** How many of the refused topics came by an id that nobody has named yet. */
  unknown: i32 = 0;
  /** Metadata asks for ids that nobody has named yet. */
  private asksForIds: boolean = false;
  /** Everything but the refused topics is allowed. */
  rest: boolean = false;
  /** Bits of the sides that refused: 1 egress, 2 ingress. */
  sides: i32 = 0;
  /** Rules that decided, by side. */
  egressRules: Array<i32> = [];
  ingressRules: Array<i32> = [];
  /** Of Produce; 1 elsewhere: whether an answer will come. */
  acks: i32 = 1;
  sessionId: i32 = 0;
  /** -1 where the request has none. */
  sessionEpoch: i32 = -1;

  constructor(policy: Policy, schema: Schema) {
    this.policy = policy;
    this.schema = schema;
  }

  get allowed(): boolean {
    return this.rest && this.refused === 0;
  }

  /** Judges a request; false when its body is malformed. */
  judge(request: Request, walker: Walker): boolean {
    this.reset();
    const schema = this.schema;
    walker.begin(request.bytes, request.bodyAt, request.end, request.version, request.flexible);
    walker.noting = true;
    walker.struct(schema.api(request.api, API_REQUEST));
    walker.noting = false;
    if (walker.failed || walker.at !== request.end) return false;
    this.weigh(request, walker);
    return true;
  }

  /** Judges what the walker has noted of a request. */
  weigh(request: Request, walker: Walker): void {
    const schema = this.schema;
    let all: boolean = false;
    let explicit: boolean = false;
    let resource: i32 = 0;
    const bytes = request.bytes;
    for (let index: i32 = 0; index < walker.noted; index++) {
      const mark: i32 = walker.notes[index * 3] as i32;
      const at: i32 = walker.notes[index * 3 + 1] as i32;
      const size: i32 = walker.notes[index * 3 + 2] as i32;
      if (mark === MARK_TOPIC) {
        if (size >= 0) this.name(bytes, at, size);
      } else if (mark === MARK_TOPIC_ID) {
        if (!isZero(bytes, at)) this.identify(bytes, at, request.apiKey);
      } else if (mark === MARK_RESOURCE_TYPE) {
        resource = bytes[at] as i32;
      } else if (mark === MARK_RESOURCE_NAME) {
        if (resource === RESOURCE_TOPIC) this.name(bytes, at, size);
        else explicit = true;
      } else if (mark === MARK_PATTERN) {
        if (size > 0) all = true;
      } else if (mark === MARK_ACKS) {
        this.acks = ((bytes[at] as i32) << 8) | (bytes[at + 1] as i32);
      } else if (mark === MARK_SESSION_ID) {
        this.sessionId = int32(bytes, at);
      } else if (mark === MARK_SESSION_EPOCH) {
        this.sessionEpoch = int32(bytes, at);
      }
    }
    this.decide(
      request,
      schema.api(request.api, API_CLASS),
      schema.api(request.api, API_FLAGS),
      all,
      explicit,
    );
  }

  private decide(request: Request, apiClass: i32, flags: i32, all: boolean, explicit: boolean): void {
    const topics: i32 = this.topicSize.length;
    for (let index: i32 = 0; index < topics; index++) {
      const allowed: boolean = this.topic(
        request,
        apiClass,
        this.topicBytes[index] as Uint8Array,
        this.topicAt[index] as i32,
        this.topicSize[index] as i32,
      );
      if (allowed) continue;
      this.topicRefused[index] = true;
      this.refused++;
      if ((this.topicSize[index] as i32) < 0) this.unknown++;
    }
    this.rest = true;
    if (all) this.rest = this.topic(request, apiClass, request.bytes, 0, -1);
    if (this.rest && explicit) this.rest = this.anyOf(request, CLASS_EXPLICIT);
    if (topics > 0 || all || explicit || this.asksForIds) return;
    if (apiClass === CLASS_TOPIC && (flags & FLAG_ANY_RULE) === 0) {
      this.rest = this.topic(request, apiClass, request.bytes, 0, -1);
    } else {
      this.rest = this.anyOf(request, apiClass);
    }
  }

  /** Whether both sides let a request of this kind touch a topic. Notes the rules when it is one to account for. */
  topic(request: Request, apiClass: i32, bytes: Uint8Array, at: i32, size: i32): boolean {
    const egress: i32 = this.ruleFor(this.policy.egress, request, apiClass, bytes, at, size);
    const ingress: i32 = this.ruleFor(this.policy.ingress, request, apiClass, bytes, at, size);
    return this.noteRules(egress, ingress);
  }

  /** Whether the rules let requests of this kind through for some topic. */
  permitsKind(request: Request): boolean {
    return this.anyOf(request, this.classOf(request));
  }

  /** Whether the rules let this kind of request see every topic. */
  permitsAll(request: Request): boolean {
    return this.topic(request, this.classOf(request), request.bytes, 0, -1);
  }

  private classOf(request: Request): i32 {
    return this.schema.api(request.api, API_CLASS);
  }

  private anyOf(request: Request, apiClass: i32): boolean {
    return this.noteRules(
      this.anyRule(this.policy.egress, request, apiClass),
      this.anyRule(this.policy.ingress, request, apiClass),
    );
  }

  /** -2: the side has no rules and allows everything. */
  private ruleFor(
    table: RuleTable | null,
    request: Request,
    apiClass: i32,
    bytes: Uint8Array,
    at: i32,
    size: i32,
  ): i32 {
    if (table === null) return -2;
    return table.forTopic(
      request.apiKey,
      request.version,
      apiClass,
      request.bytes,
      request.clientAt,
      request.clientSize,
      bytes,
      at,
      size,
    );
  }

  private anyRule(table: RuleTable | null, request: Request, apiClass: i32): i32 {
    if (table === null) return -2;
    return table.forAnyOf(
      request.apiKey,
      request.version,
      apiClass,
      request.bytes,
      request.clientAt,
      request.clientSize,
    );
  }

  private noteRules(egress: i32, ingress: i32): boolean {
    if (egress === -1) this.sides = this.sides | 1;
    if (ingress === -1) this.sides = this.sides | 2;
    if (egress === -1 || ingress === -1) return false;
    note(this.egressRules, egress);
    note(this.ingressRules, ingress);
    return true;
  }

  private name(bytes: Uint8Array, at: i32, size: i32): void {
    this.topicBytes.push(bytes);
    this.topicAt.push(at);
    this.topicSize.push(size);
    this.topicRefused.push(false);
  }

  /**
   * A topic by its id. One that is still unknown may be any topic; but Metadata may ask for it, because its answer
   * names it, and is filtered.
   */
  private identify(bytes: Uint8Array, at: i32, apiKey: i32): void {
    const name = this.policy.ids.find(bytes, at);
    if (name !== null) {
      this.name(name, 0, name.length);
      return;
    }
    if (apiKey === METADATA) this.asksForIds = true;
    else this.name(bytes, at, -1);
  }

  reset(): void {
    this.topicBytes.length = 0;
    this.topicAt.length = 0;
    this.topicSize.length = 0;
    this.topicRefused.length = 0;
    this.refused = 0;
    this.unknown = 0;
    this.asksForIds = false;
    this.rest = false;
    this.sides = 0;
    this.egressRules.length = 0;
    this.ingressRules.length = 0;
    this.acks = 1;
    this.sessionId = 0;
    this.sessionEpoch = -1;
  }
}

function note(rules: Array<i32>, rule: i32): void {
  if (rule < 0 || rules.length >= MOST_RULES) return;
  for (let index: i32 = 0; index < rules.length; index++) {
    if ((rules[index] as i32) === rule) return;
  }
  rules.push(rule);
}
