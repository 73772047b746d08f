// AssemblyScript only. What Envoy calls.
import { Connection } from '../connection';
import { Host, Source } from '../host';
import { Policy, textAt } from '../policy';
import { Tools } from '../tools';
import { Writer } from '../writer';
import {
  allocate,
  CLOSE_DOWNSTREAM,
  CONTINUE,
  call,
  DOWNSTREAM,
  LOG_ERROR,
  log,
  now,
  PLUGIN_CONFIGURATION,
  property,
  proxy_close_stream,
  proxy_set_tick_period_milliseconds,
  readBuffer,
  readInto,
  replaceBuffer,
  setSharedData,
  sharedData,
  UPSTREAM,
} from './abi';

const REPORT_PERIOD_MS: u32 = 100;
const REPORT_TIMEOUT_MS: u32 = 5000;

class EnvoyHost extends Host {
  read(key: Uint8Array): Uint8Array | null {
    return sharedData(key);
  }

  leave(key: Uint8Array, value: Uint8Array): void {
    setSharedData(key, value);
  }

  /** The time of this callback; 0 until someone asks for it. */
  time: i64 = 0;

  stamp(out: Writer): void {
    if (this.time == 0) this.time = now();
    out.int32(i32(this.time >> 32));
    out.int32(i32(this.time & 0xffffffff));
  }
}

class BufferSource extends Source {
  type: u32 = DOWNSTREAM;

  read(out: Writer, at: i32, size: i32): void {
    readInto(out, this.type, at, size);
  }

  replace(by: Writer, size: i32): void {
    replaceBuffer(this.type, this.size, by.bytes, size);
  }
}

const host = new EnvoyHost();
const tools = new Tools(host);
const source = new BufferSource();

/** Rules in force by class id, for all listeners and connections of this VM. */
const policies = new Map<string, Policy>();
/** Root contexts that configure a class. */
const roots = new Map<u32, Policy>();
const rootCounts = new Map<string, i32>();
const connections = new Map<u32, Connection>();

const sourceAddress = text('source\0address\0');
const destinationAddress = text('destination\0address\0');
const reportCluster = text('weir-access-log');
const reportService = text('weir.kafka.v1.Requests');
const reportMethod = text('Report');

function text(value: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(value));
}

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: usize): usize {
  return allocate(size);
}

export function proxy_on_vm_start(_root: u32, _size: u32): u32 {
  return 1;
}

export function proxy_on_context_create(context: u32, root: u32): void {
  if (root == 0) return;
  if (!roots.has(root)) {
    // A connection without rules never opens: nothing is in force for it.
    log(LOG_ERROR, 'a connection came before its rules');
    return;
  }
  connections.set(context, new Connection(tools, roots.get(root)));
}

export function proxy_on_configure(root: u32, size: u32): u32 {
  const bytes = readBuffer(PLUGIN_CONFIGURATION, 0, i32(size));
  const classId = textAt(bytes, 4);
  const name = classId == null ? '' : String.UTF8.decode(classId.buffer);
  const policy = policies.has(name) ? policies.get(name) : new Policy(host);
  if (!policy.configure(bytes)) {
    log(LOG_ERROR, 'the configuration is malformed');
    return 0;
  }
  policies.set(name, policy);
  if (!roots.has(root)) rootCounts.set(name, (rootCounts.has(name) ? rootCounts.get(name) : 0) + 1);
  roots.set(root, policy);
  proxy_set_tick_period_milliseconds(REPORT_PERIOD_MS);
  return 1;
}

export function proxy_on_tick(_root: u32): void {
  if (!tools.reports.waiting) return;
  const message = new Writer(tools.reports.out.size + 4);
  message.int32(tools.reports.dropped);
  message.append(tools.reports.out.bytes, 0, tools.reports.out.size);
  const sent = call(
    reportCluster,
    reportService,
    reportMethod,
    message.bytes.subarray(0, message.size),
    REPORT_TIMEOUT_MS,
  );
  if (sent) tools.reports.clear();
}

export function proxy_on_new_connection(context: u32): u32 {
  if (!connections.has(context)) {
    proxy_close_stream(CLOSE_DOWNSTREAM);
    return CONTINUE;
  }
  connections.get(context).setEnds(property(sourceAddress), property(destinationAddress));
  return CONTINUE;
}

export function proxy_on_downstream_data(context: u32, size: u32, _end: u32): u32 {
  return take(context, DOWNSTREAM, i32(size));
}

export function proxy_on_upstream_data(context: u32, size: u32, _end: u32): u32 {
  return take(context, UPSTREAM, i32(size));
}

function take(context: u32, type: u32, size: i32): u32 {
  if (size == 0) return CONTINUE;
  source.type = type;
  source.begin(size);
  host.time = 0;
  if (connections.has(context)) {
    const connection = connections.get(context);
    if (type == DOWNSTREAM ? connection.onRequest(source) : connection.onAnswer(source)) return CONTINUE;
  }
  replaceBuffer(type, size, tools.out.bytes, 0);
  proxy_close_stream(CLOSE_DOWNSTREAM);
  return CONTINUE;
}

export function proxy_on_downstream_connection_close(_context: u32, _peer: u32): void {}

export function proxy_on_upstream_connection_close(_context: u32, _peer: u32): void {}

export function proxy_on_done(_context: u32): u32 {
  return 1;
}

export function proxy_on_log(_context: u32): void {}

export function proxy_on_delete(context: u32): void {
  if (connections.has(context)) {
    connections.get(context).release();
    connections.delete(context);
    return;
  }
  if (!roots.has(context)) return;
  const name = String.UTF8.decode(roots.get(context).classId.buffer);
  roots.delete(context);
  const left = rootCounts.get(name) - 1;
  if (left > 0) {
    rootCounts.set(name, left);
    return;
  }
  rootCounts.delete(name);
  policies.delete(name);
}

/** What the runtime calls where it would throw: a trap, which ends the VM and with it its connections. */
export function onAbort(_message: string | null, _file: string | null, _line: u32, _column: u32): void {
  unreachable();
}
