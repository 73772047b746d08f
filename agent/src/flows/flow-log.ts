import type { Flow } from './flow.ts';

/** The last flows, and those who follow them. */
export interface FlowLog {
  add(flow: Omit<Flow, 'sequence'>): void;
  /** The last `count` flows, oldest first. */
  last(count: number): readonly Flow[];
  /** Calls `listener` with each new flow until the returned function is called. */
  follow(listener: (flow: Flow) => void): () => void;
  /** Flows since the start. */
  readonly total: number;
}

/** Keeps the last `capacity` flows. */
export function createFlowLog(capacity: number): FlowLog {
  const ring: Flow[] = [];
  const listeners = new Set<(flow: Flow) => void>();
  let total = 0;
  return {
    get total() {
      return total;
    },
    add(facts) {
      total += 1;
      const flow: Flow = Object.freeze({ sequence: total, ...facts });
      ring[(total - 1) % capacity] = flow;
      for (const listener of listeners) listener(flow);
    },
    last(count) {
      const start = ring.length < capacity ? 0 : total % capacity;
      return [...ring.slice(start), ...ring.slice(0, start)].slice(-count);
    },
    follow(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
