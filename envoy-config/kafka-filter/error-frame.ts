// Compiled for Envoy and run by Node: see l7-policy/src/kafka/portable.d.ts.
import { ErrorAnswer } from './error-answer.ts';
import { API_VERSIONS } from './judge.ts';
import { API_REQUEST, API_RESPONSE } from './layout.ts';
import { Request } from './request.ts';
import { Walker } from './walker.ts';
import { Writer } from './writer.ts';

/** The whole frame of an answer that refuses a request, which is known to be sound. */
export function errorFrame(walker: Walker, request: Request, error: i32, alone: boolean): Uint8Array {
  const schema = walker.schema;
  const out = new Writer(256);
  out.int32(0);
  out.int32(request.correlation);
  // The answer to ApiVersions keeps the short header in every version, so that any client can read it.
  if (request.flexible && request.apiKey !== API_VERSIONS) out.byte(0);
  walker.begin(request.bytes, request.bodyAt, request.end, request.version, request.flexible);
  const answer = new ErrorAnswer(walker, out, error);
  answer.struct(
    schema.api(request.api, API_RESPONSE),
    alone ? -1 : schema.api(request.api, API_REQUEST),
    request.bodyAt,
    0,
  );
  out.int32At(0, out.size - 4);
  return out.bytes.slice(0, out.size);
}
