import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** The built filter itself, with the functions that Envoy would give it. */
export interface WasmFilter {
  configure(config: Uint8Array): boolean;
  connect(): WasmConnection;
  /** Bytes of the VM's memory. */
  readonly memoryBytes: number;
}

/** What comes back goes on to the other side; null: the connection was closed. */
export interface WasmConnection {
  request(bytes: Uint8Array): Buffer | null;
  answer(bytes: Uint8Array): Buffer | null;
  close(): void;
}

const path = resolve(import.meta.dirname, '../../../build/kafka-filter/kafka.wasm');
const [downstream, upstream, configuration] = [2, 3, 7];
const notFound = 1;

/** The part of the global that is used here; neither Node's types nor the language's declare it. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  proxy_on_memory_allocate(size: number): number;
  proxy_on_context_create(context: number, root: number): void;
  proxy_on_vm_start(root: number, size: number): number;
  proxy_on_configure(root: number, size: number): number;
  proxy_on_new_connection(context: number): number;
  proxy_on_downstream_data(context: number, size: number, end: number): number;
  proxy_on_upstream_data(context: number, size: number, end: number): number;
  proxy_on_delete(context: number): void;
  proxy_on_tick(root: number): void;
}

/** Loads it into Node. A trap throws. */
export function loadWasmFilter(): WasmFilter {
  const buffers = new Map<number, Buffer>();
  const shared = new Map<string, Buffer>();
  let closed = false;
  const at = (pointer: number, size: number) => Buffer.from(exports.memory.buffer, pointer, size);
  const word = (pointer: number, value: number) =>
    new DataView(exports.memory.buffer).setUint32(pointer, value, true);
  const give = (bytes: Uint8Array, data: number, dataSize: number) => {
    const pointer = exports.proxy_on_memory_allocate(bytes.length);
    at(pointer, bytes.length).set(bytes);
    word(data, pointer);
    word(dataSize, bytes.length);
    return 0;
  };
  const env = {
    proxy_log: () => 0,
    proxy_get_buffer_bytes: (type: number, start: number, size: number, data: number, dataSize: number) =>
      give((buffers.get(type) ?? Buffer.alloc(0)).subarray(start, start + size), data, dataSize),
    proxy_set_buffer_bytes: (type: number, _start: number, size: number, data: number, dataSize: number) => {
      const rest = (buffers.get(type) ?? Buffer.alloc(0)).subarray(size);
      buffers.set(type, Buffer.concat([at(data, dataSize), rest]));
      return 0;
    },
    proxy_close_stream: () => {
      closed = true;
      return 0;
    },
    proxy_get_property: () => notFound,
    proxy_set_shared_data: (key: number, keySize: number, data: number, dataSize: number) => {
      shared.set(at(key, keySize).toString('latin1'), Buffer.from(at(data, dataSize)));
      return 0;
    },
    proxy_get_shared_data: (key: number, keySize: number, data: number, dataSize: number) => {
      const found = shared.get(at(key, keySize).toString('latin1'));
      return found === undefined ? notFound : give(found, data, dataSize);
    },
    proxy_get_current_time_nanoseconds: () => 0,
    proxy_set_tick_period_milliseconds: () => 0,
    proxy_grpc_call: () => 0,
  };
  const module = new WebAssembly.Module(readFileSync(path));
  const exports = new WebAssembly.Instance(module, { env }).exports as Exports;
  exports._initialize();
  exports.proxy_on_vm_start(0, 0);
  let contexts = 1;
  const root = contexts++;
  exports.proxy_on_context_create(root, 0);

  return {
    get memoryBytes() {
      return exports.memory.buffer.byteLength;
    },
    configure(config) {
      buffers.set(configuration, Buffer.from(config));
      return exports.proxy_on_configure(root, config.length) === 1;
    },
    connect() {
      const context = contexts++;
      exports.proxy_on_context_create(context, root);
      exports.proxy_on_new_connection(context);
      const take = (type: number, bytes: Uint8Array): Buffer | null => {
        buffers.set(type, Buffer.from(bytes));
        closed = false;
        if (type === downstream) exports.proxy_on_downstream_data(context, bytes.length, 0);
        else exports.proxy_on_upstream_data(context, bytes.length, 0);
        return closed ? null : (buffers.get(type) ?? null);
      };
      return {
        request: (bytes) => take(downstream, bytes),
        answer: (bytes) => take(upstream, bytes),
        close: () => {
          exports.proxy_on_delete(context);
          exports.proxy_on_tick(root);
        },
      };
    },
  };
}
