// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { ErrorAnswer } from './error-answer.ts';
import { Sieve } from './filtered-copy.ts';
import { InFlight } from './in-flight.ts';
import { Judgement, METADATA } from './judge.ts';
import { API_CLASS, FIELD_LINK, FIELD_STRUCT } from './layout.ts';
import { Walker } from './walker.ts';
import { Writer } from './writer.ts';

const TOPIC_AUTHORIZATION_FAILED: i32 = 29;
const UNKNOWN_TOPIC_ID: i32 = 100;

/** Takes refused topics out of a request, and notes them for its answer. */
export class RequestSieve extends Sieve {
  private readonly judgement: Judgement;
  private readonly entry: InFlight;
  private readonly walker: Walker;
  private unknown: boolean = false;

  constructor(judgement: Judgement, entry: InFlight, walker: Walker) {
    super();
    this.judgement = judgement;
    this.entry = entry;
    this.walker = walker;
  }

  allowsName(bytes: Uint8Array, at: i32, size: i32): boolean {
    const request = this.entry.request;
    this.unknown = false;
    return this.judgement.topic(request, this.walker.schema.api(request.api, API_CLASS), bytes, at, size);
  }

  allowsId(bytes: Uint8Array, at: i32): boolean {
    const name = this.judgement.policy.ids.find(bytes, at);
    if (name !== null) return this.allowsName(name, 0, name.length);
    const permitted: boolean =
      this.entry.request.apiKey === METADATA || this.judgement.permitsAll(this.entry.request);
    this.unknown = !permitted;
    return permitted;
  }

  learn(_bytes: Uint8Array, _idAt: i32, _nameAt: i32, _nameSize: i32): void {
    // A client's word for what an id means counts nothing.
  }

  leftOut(field: i32, start: i32): void {
    this.entry.leftOut.push(start);
    this.entry.leftErrors.push(this.unknown ? UNKNOWN_TOPIC_ID : TOPIC_AUTHORIZATION_FAILED);
    this.entry.leftLink = this.walker.schema.field(field, FIELD_LINK);
    this.entry.leftStruct = this.walker.schema.field(field, FIELD_STRUCT);
  }

  more(_field: i32, _out: Writer): i32 {
    return 0;
  }
}

/** Leaves in an answer what the rules in force let the client see, and puts in what the request had to leave out. */
export class AnswerSieve extends Sieve {
  private readonly judgement: Judgement;
  private readonly entry: InFlight;
  /** Walks over the request, while another walks over the answer. */
  private readonly asked: Walker;

  constructor(judgement: Judgement, entry: InFlight, asked: Walker) {
    super();
    this.judgement = judgement;
    this.entry = entry;
    this.asked = asked;
  }

  allowsName(bytes: Uint8Array, at: i32, size: i32): boolean {
    if (this.entry.nothing) return false;
    const request = this.entry.request;
    return this.judgement.topic(request, this.asked.schema.api(request.api, API_CLASS), bytes, at, size);
  }

  allowsId(bytes: Uint8Array, at: i32): boolean {
    const name = this.judgement.policy.ids.find(bytes, at);
    // Metadata answers with an id alone when it does not know it.
    if (name === null)
      return this.entry.request.apiKey === METADATA || this.judgement.permitsAll(this.entry.request);
    return this.allowsName(name, 0, name.length);
  }

  learn(bytes: Uint8Array, idAt: i32, nameAt: i32, nameSize: i32): void {
    this.judgement.policy.ids.learn(bytes, idAt, nameAt, nameSize);
  }

  leftOut(_field: i32, _start: i32): void {
    // The client is not told of what it may not see.
  }

  more(field: i32, out: Writer): i32 {
    const entry = this.entry;
    const walker = this.asked;
    const count: i32 = entry.leftOut.length;
    if (count === 0 || walker.schema.field(field, FIELD_LINK) !== entry.leftLink) return 0;
    const request = entry.request;
    walker.begin(request.bytes, request.bodyAt, request.end, request.version, request.flexible);
    for (let index: i32 = 0; index < count; index++) {
      const answer = new ErrorAnswer(walker, out, entry.leftErrors[index] as i32);
      answer.struct(
        walker.schema.field(field, FIELD_STRUCT),
        entry.leftStruct,
        entry.leftOut[index] as i32,
        0,
      );
    }
    return count;
  }
}
