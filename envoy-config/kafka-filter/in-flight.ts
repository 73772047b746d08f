// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { Request } from './request.ts';

/** The answer goes through as it is. */
export const PASS: i32 = 0;
/** The answer carries records: it goes through while the rules are those that allowed it. */
export const RECORDS: i32 = 1;
/** The answer is filtered, or learnt from. */
export const FILTER: i32 = 2;
/** The broker was asked something else; its answer makes way for `reply`. */
export const REPLACE: i32 = 3;
/** The answer tells versions of APIs, which are cut. */
export const VERSIONS: i32 = 4;

const noBytes = new Uint8Array(0);
const noNumbers: Array<i32> = [];

/** A request that the broker has yet to answer. */
export class InFlight {
  readonly kind: i32;
  readonly apiKey: i32;
  readonly version: i32;
  readonly correlation: i32;
  /** The request, kept as far as its answer needs it. */
  readonly request: Request;
  /** Of `Policy`, when the request was judged. */
  generation: i32 = 0;
  /** A whole frame, with `REPLACE`. */
  reply: Uint8Array = noBytes;
  /** Elements of the request that were left out, by where they start, and the error of each; after `leaveOut`. */
  leftOut: Array<i32> = noNumbers;
  leftErrors: Array<i32> = noNumbers;
  /** Link and structure of the array that they were in. */
  leftLink: i32 = 0;
  leftStruct: i32 = 0;
  /** Everything the broker names is left out: what was asked for was refused. */
  nothing: boolean = false;
  /** The request is to be told that its version is not understood. */
  downgrade: boolean = false;
  /** Bytes that it holds. */
  held: i32 = 0;
  /** A request within a session, which names not all that it gets. */
  continues: boolean = false;

  constructor(kind: i32, asked: Request, kept: Request) {
    this.kind = kind;
    this.apiKey = asked.apiKey;
    this.version = asked.version;
    this.correlation = asked.correlation;
    this.request = kept;
  }

  /** Makes ready for elements that are left out. */
  leaveOut(): void {
    this.leftOut = [];
    this.leftErrors = [];
  }
}
