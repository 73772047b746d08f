import { Connection } from '../../kafka-filter/connection.ts';
import { Host, Source } from '../../kafka-filter/host.ts';
import { Policy } from '../../kafka-filter/policy.ts';
import { Tools } from '../../kafka-filter/tools.ts';
import type { Writer } from '../../kafka-filter/writer.ts';
import { decodeReports } from './decode-reports.ts';
import type { KafkaReport } from './kafka-report.ts';

/** The sources of the Kafka filter, run by Node instead of Envoy. */
export interface KafkaFilterInNode {
  /** Takes a new version of the rules; false when it is malformed. */
  configure(config: Uint8Array): boolean;
  connect(): KafkaConnectionInNode;
  /** What was reported since the last call. */
  reports(): readonly KafkaReport[];
  /** Bytes that all connections hold. */
  readonly heldBytes: number;
}

/** A connection through it. What comes back goes on to the other side; null: the connection was closed. */
export interface KafkaConnectionInNode {
  request(bytes: Uint8Array): Uint8Array | null;
  answer(bytes: Uint8Array): Uint8Array | null;
  close(): void;
}

/** Bounds that differ from those in Envoy. */
export interface KafkaFilterLimits {
  readonly frameBytes?: number;
  readonly heldBytes?: number;
  readonly inFlight?: number;
}

/** Filters that are given the same `shared` find what the others left there, as VMs of one Envoy do. */
export function createKafkaFilterInNode(
  limits: KafkaFilterLimits = {},
  shared: Map<string, Uint8Array> = new Map(),
): KafkaFilterInNode {
  const tools = new Tools(new NodeHost(shared));
  Object.assign(tools.limits, limits);
  const policy = new Policy(tools.host);
  return {
    configure: (config) => policy.configure(config),
    reports() {
      const message = Buffer.concat([
        Buffer.alloc(4),
        tools.reports.out.bytes.subarray(0, tools.reports.out.size),
      ]);
      tools.reports.clear();
      return decodeReports(message).reports;
    },
    get heldBytes() {
      return tools.held;
    },
    connect() {
      const connection = new Connection(tools, policy);
      const take = (bytes: Uint8Array, passes: (source: Source) => boolean): Uint8Array | null => {
        const source = new BytesSource(bytes);
        return passes(source) ? source.bytes : null;
      };
      return {
        request: (bytes) => take(bytes, (source) => connection.onRequest(source)),
        answer: (bytes) => take(bytes, (source) => connection.onAnswer(source)),
        close: () => connection.release(),
      };
    },
  };
}

class NodeHost extends Host {
  readonly #shared: Map<string, Uint8Array>;

  constructor(shared: Map<string, Uint8Array>) {
    super();
    this.#shared = shared;
  }

  override read(key: Uint8Array): Uint8Array | null {
    return this.#shared.get(Buffer.from(key).toString('latin1')) ?? null;
  }

  override leave(key: Uint8Array, value: Uint8Array): void {
    this.#shared.set(Buffer.from(key).toString('latin1'), value.slice());
  }

  override stamp(out: Writer): void {
    out.int32(0);
    out.int32(0);
  }
}

class BytesSource extends Source {
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super();
    this.bytes = bytes;
    this.begin(bytes.length);
  }

  override read(out: Writer, at: number, size: number): void {
    if (at + size > this.bytes.length) throw new RangeError('more than there is');
    out.append(this.bytes, at, at + size);
  }

  override replace(by: Writer, size: number): void {
    this.bytes = by.bytes.slice(0, size);
  }
}
