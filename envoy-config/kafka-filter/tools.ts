// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { Host } from './host.ts';
import { Reports } from './reports.ts';
import { Schema } from './schema.ts';
import { Walker } from './walker.ts';
import { Writer } from './writer.ts';

/** Bounds of what a client or broker can make the filter hold. */
export class Limits {
  /** A frame of more bytes closes the connection; Kafka's own bound (`socket.request.max.bytes`). */
  frameBytes: i32 = 104857600;
  /** Bytes that all connections of a VM hold together. */
  heldBytes: i32 = 268435456;
  /** Requests of one connection that the broker has not answered. */
  inFlight: i32 = 4096;
}

/** What all connections of a VM share. One callback runs at a time, so they share their work space too. */
export class Tools {
  readonly host: Host;
  readonly limits: Limits = new Limits();
  readonly schema: Schema;
  readonly walker: Walker;
  /** For a request while `walker` is in its answer. */
  readonly asked: Walker;
  readonly reports: Reports;
  /** The bytes that a callback was called for, where none were held before. */
  readonly chunk: Writer = new Writer(4096);
  /** What takes their place. */
  readonly out: Writer = new Writer(4096);
  /** What takes the place of one frame. */
  readonly frame: Writer = new Writer(1024);
  /** Bytes held by all connections. */
  held: i32 = 0;

  constructor(host: Host) {
    this.host = host;
    const schema = new Schema();
    this.schema = schema;
    this.walker = new Walker(schema);
    this.asked = new Walker(schema);
    this.reports = new Reports(host);
  }

  /** Accounts for bytes that are held from now on, or no more; false, and nothing changed, when they are too many. */
  hold(bytes: i32): boolean {
    if (bytes > this.limits.heldBytes - this.held) return false;
    this.held += bytes;
    return true;
  }
}
