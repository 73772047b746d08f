import { watchProcess } from '@weir/bpf';
import { createEnvoyProcess, type EnvoyEvent, type EnvoyProcess } from '@weir/envoy-config';
import { type AgentOptions, bootstrapOf, socketPaths } from '../options.ts';
import type { StateStore } from '../state/state-store.ts';
import { processStore } from '../state/stored.ts';

/** The Envoy of an instance, which outlives its agents; nothing runs before it is started. */
export function envoyOf(
  options: AgentOptions,
  binaryPath: string,
  store: StateStore,
  onEvent: (event: EnvoyEvent) => void,
): EnvoyProcess {
  const { runDirectory } = options;
  return createEnvoyProcess({
    binaryPath,
    bootstrap: bootstrapOf(options),
    bootstrapPath: `${runDirectory}/envoy.json`,
    logPath: `${runDirectory}/envoy.log`,
    adminSocketPath: socketPaths(runDirectory).admin,
    concurrency: options.envoyConcurrency,
    logLevel: 'warning',
    enter: [],
    store: processStore(store),
    watchProcess,
    onEvent,
  });
}
