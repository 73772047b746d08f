import type { Flow, FlowVerdict } from './flow.ts';

/** Requests with the same outcome. */
export interface OutcomeCount {
  readonly verdict: FlowVerdict;
  /** Why they were refused; null for the others. */
  readonly reason: string | null;
  readonly requests: number;
}

/** Counts the requests that went through the proxy, since the agent's start. */
export interface RequestCounters {
  add(flow: Pick<Flow, 'verdict' | 'reason' | 'rules'>): void;
  outcomes(): readonly OutcomeCount[];
  /** Requests that each rule let through, by its id; rules that let none through are not there. */
  byRule(): ReadonlyMap<string, number>;
  /** Forgets the rules that are not among these. */
  keep(rules: ReadonlySet<string>): void;
}

/** Counters that stand at zero. */
export function createRequestCounters(): RequestCounters {
  const outcomes = new Map<string, OutcomeCount>();
  const byRule = new Map<string, number>();
  return {
    add({ verdict, reason, rules }) {
      // The words of a failure are Envoy's, and of any number.
      const why = verdict === 'denied' ? reason : null;
      const key = `${verdict} ${why}`;
      const before = outcomes.get(key)?.requests ?? 0;
      outcomes.set(key, { verdict, reason: why, requests: before + 1 });
      for (const { rule } of rules) {
        if (rule !== null) byRule.set(rule, (byRule.get(rule) ?? 0) + 1);
      }
    },
    outcomes: () => [...outcomes.values()],
    byRule: () => byRule,
    keep(rules) {
      for (const rule of byRule.keys()) if (!rules.has(rule)) byRule.delete(rule);
    },
  };
}
