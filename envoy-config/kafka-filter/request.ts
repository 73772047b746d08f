// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { int16, int32 } from '../../l7-policy/src/kafka/rule-table.ts';
import { API_FLEXIBLE } from './layout.ts';
import { Schema } from './schema.ts';
import { Walker } from './walker.ts';

/** The header of a request frame. */
export class Request {
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the frame starts, its four bytes of size included, and where it ends. */
  start: i32 = 0;
  end: i32 = 0;
  apiKey: i32 = 0;
  version: i32 = 0;
  correlation: i32 = 0;
  clientAt: i32 = 0;
  /** -1: no client id. */
  clientSize: i32 = -1;
  bodyAt: i32 = 0;
  /** The API's record in the schema; -1 when API or version are not understood. */
  api: i32 = -1;
  flexible: boolean = false;
  /** ApiVersions in a version that is not understood: only its header is. */
  newer: boolean = false;

  /** Reads the header of a whole frame; false when it is malformed. */
  read(bytes: Uint8Array, start: i32, end: i32, schema: Schema, walker: Walker): boolean {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.apiKey = 0;
    this.version = 0;
    this.correlation = 0;
    this.clientSize = -1;
    this.api = -1;
    if (end - start < 12) return false;
    this.apiKey = int16(bytes, start + 4);
    this.version = int16(bytes, start + 6);
    this.correlation = int32(bytes, start + 8);
    this.clientAt = start + 12;
    this.api = schema.find(this.apiKey, this.version);
    this.newer = this.api < 0 && this.apiKey === 18 && this.version > 0;
    if (this.newer) this.api = schema.find(18, schema.lastVersion(18));
    if (this.api < 0) return true;
    this.flexible = this.version >= schema.api(this.api, API_FLEXIBLE);
    // ControlledShutdown 0 is the one request whose header ends here.
    this.bodyAt = start + 12;
    if (this.apiKey === 7 && this.version === 0) return true;
    if (end - start < 14) return false;
    this.clientAt = start + 14;
    const clientSize: i32 = int16(bytes, start + 12);
    if (clientSize < -1 || this.clientAt + clientSize > end) return false;
    this.clientSize = clientSize;
    this.bodyAt = this.clientAt + (clientSize < 0 ? 0 : clientSize);
    if (!this.flexible) return true;
    walker.begin(bytes, this.bodyAt, end, this.version, true);
    walker.tagsOf(-1);
    this.bodyAt = walker.at;
    return !walker.failed;
  }
}
