// AssemblyScript only. The part of proxy-wasm ABI 0.2.1 that a network filter needs.
import { Writer } from '../writer';

@external("env", "proxy_log")
export declare function proxy_log(level: u32, text: usize, size: usize): u32;
@external("env", "proxy_get_buffer_bytes")
export declare function proxy_get_buffer_bytes(type: u32, start: u32, size: u32, data: usize, dataSize: usize): u32;
@external("env", "proxy_set_buffer_bytes")
export declare function proxy_set_buffer_bytes(type: u32, start: u32, size: u32, data: usize, dataSize: usize): u32;
@external("env", "proxy_close_stream")
export declare function proxy_close_stream(type: u32): u32;
@external("env", "proxy_get_property")
export declare function proxy_get_property(path: usize, pathSize: usize, data: usize, dataSize: usize): u32;
@external("env", "proxy_set_shared_data")
export declare function proxy_set_shared_data(key: usize, keySize: usize, data: usize, dataSize: usize, cas: u32): u32;
@external("env", "proxy_get_shared_data")
export declare function proxy_get_shared_data(key: usize, keySize: usize, data: usize, dataSize: usize, cas: usize): u32;
@external("env", "proxy_get_current_time_nanoseconds")
export declare function proxy_get_current_time_nanoseconds(time: usize): u32;
@external("env", "proxy_set_tick_period_milliseconds")
export declare function proxy_set_tick_period_milliseconds(period: u32): u32;
@external("env", "proxy_grpc_call")
export declare function proxy_grpc_call(
  service: usize,
  serviceSize: usize,
  name: usize,
  nameSize: usize,
  method: usize,
  methodSize: usize,
  metadata: usize,
  metadataSize: usize,
  message: usize,
  messageSize: usize,
  timeoutMs: u32,
  token: usize,
): u32;

export const DOWNSTREAM: u32 = 2;
export const UPSTREAM: u32 = 3;
export const PLUGIN_CONFIGURATION: u32 = 7;
export const CONTINUE: u32 = 0;
/** Stream types of proxy_close_stream. */
export const CLOSE_DOWNSTREAM: u32 = 2;
export const LOG_ERROR: u32 = 4;

/** Where the host writes what it returns. */
const returned: usize = memory.data(16);

/** What the host allocated last, through `allocate`. */
let allocated: ArrayBuffer = new ArrayBuffer(0);
/** Where its next allocation has been made already, and of how many bytes; 0: nowhere. */
let target: usize = 0;
let targetSize: usize = 0;

/** The host's allocator: what it writes is ours at once. */
export function allocate(size: usize): usize {
  if (target != 0 && size == targetSize) return target;
  allocated = new ArrayBuffer(i32(size));
  return changetype<usize>(allocated);
}

/** A part of one of the host's buffers. */
export function readBuffer(type: u32, start: i32, size: i32): Uint8Array {
  if (size <= 0) return new Uint8Array(0);
  if (proxy_get_buffer_bytes(type, start, size, returned, returned + 4) != 0) return new Uint8Array(0);
  return taken();
}

/** Appends a part of one of the host's buffers. A part that is not there ends the VM: nothing passes unseen. */
export function readInto(out: Writer, type: u32, start: i32, size: i32): void {
  if (size <= 0) return;
  out.reserve(size);
  target = out.bytes.dataStart + out.size;
  targetSize = size;
  const status = proxy_get_buffer_bytes(type, start, size, returned, returned + 4);
  if (status != 0 || load<usize>(returned) != target || load<u32>(returned + 4) != u32(size)) unreachable();
  target = 0;
  out.size += size;
}

/** Puts bytes in the place of the first `size` of a buffer. */
export function replaceBuffer(type: u32, size: i32, bytes: Uint8Array, count: i32): void {
  proxy_set_buffer_bytes(type, 0, size, bytes.dataStart, count);
}

/** A property of the connection as text; empty where it is not known. */
export function property(path: Uint8Array): Uint8Array {
  if (proxy_get_property(path.dataStart, path.length, returned, returned + 4) != 0) return new Uint8Array(0);
  return taken();
}

export function sharedData(key: Uint8Array): Uint8Array | null {
  const status = proxy_get_shared_data(key.dataStart, key.length, returned, returned + 4, returned + 8);
  return status == 0 ? taken() : null;
}

export function setSharedData(key: Uint8Array, value: Uint8Array): void {
  proxy_set_shared_data(key.dataStart, key.length, value.dataStart, value.length, 0);
}

/** Milliseconds since the epoch. */
export function now(): i64 {
  proxy_get_current_time_nanoseconds(returned);
  return i64(load<u64>(returned) / 1000000);
}

/** Calls a unary gRPC method of a cluster and does not wait for its answer. */
export function call(cluster: Uint8Array, service: Uint8Array, method: Uint8Array, message: Uint8Array, timeoutMs: u32): bool {
  return (
    proxy_grpc_call(
      cluster.dataStart,
      cluster.length,
      service.dataStart,
      service.length,
      method.dataStart,
      method.length,
      0,
      0,
      message.dataStart,
      message.length,
      timeoutMs,
      returned,
    ) == 0
  );
}

export function log(level: u32, text: string): void {
  const bytes = String.UTF8.encode(text);
  proxy_log(level, changetype<usize>(bytes), bytes.byteLength);
}

function taken(): Uint8Array {
  const size = load<u32>(returned + 4);
  if (size == 0) return new Uint8Array(0);
  return Uint8Array.wrap(allocated, 0, size);
}
