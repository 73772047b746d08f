import { servedKinds } from '@weir/envoy-config';
import type { Engine } from '@weir/l7-policy';
import { showPlace } from '../flows/places.ts';
import type { RequestCounters } from '../flows/request-counters.ts';
import type { RuleStatus } from './api-types.ts';

/** The rules that the proxy enforces, each with its places and the requests that it let through. */
export function ruleStatus(
  engine: Pick<Engine, 'state' | 'sourcesOf'>,
  counters: RequestCounters,
): readonly RuleStatus[] {
  const ids = new Set(
    [...engine.state().slots.values()]
      .filter(({ kind }) => servedKinds.has(kind))
      .flatMap(({ rules }) => rules.map(({ id }) => id)),
  );
  counters.keep(ids);
  const requests = counters.byRule();
  return [...ids].map((id) => ({
    rule: id,
    places: engine.sourcesOf(id).map(showPlace),
    requests: requests.get(id) ?? 0,
  }));
}
