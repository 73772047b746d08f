import type { Compiled, EnvoyResource } from './resource.ts';
import type { ProxyPort, ProxySettings } from './settings.ts';

/**
 * A class with the content of its slots (L7Class and L7Slot of l7-policy).
 * A side that has no L7 rules is null: it allows everything.
 */
export interface ClassInput<Slot> {
  readonly id: string;
  readonly egress: readonly Slot[] | null;
  readonly ingress: readonly Slot[] | null;
  readonly port: ProxyPort;
}

/** What every class needs once: the cluster that leads to the original destination. */
export function compileShared(_settings: ProxySettings): readonly EnvoyResource[] {
  throw new Error('not built yet');
}

/**
 * Listener and route configuration of a class. The listener depends on id, port, settings and on whether
 * both sides have rules, never on the rules' content: a content edit changes routes only.
 * Equal rule sets give equal bytes, in whatever order they come.
 */
export function compileClass<Slot>(_input: ClassInput<Slot>, _settings: ProxySettings): Compiled {
  throw new Error('not built yet');
}
