import { setTimeout as delay } from 'node:timers/promises';
import { showHeld } from './api/status.ts';
import type { Controller } from './controller.ts';
import type { ProxyClasses } from './proxy/proxy-classes.ts';

/** What has to come to rest. */
export interface SyncParts {
  /** Each looks at one source of facts. */
  readonly scans: readonly (() => Promise<unknown>)[];
  readonly controller: Controller;
  readonly proxy: ProxyClasses;
}

const DEADLINE_MS = 20_000;
const LOOK_MS = 5;

/**
 * Makes a function that reads all files and resolves when what they say is in force, in proxy and
 * kernel, or when that cannot be had in time: then with a sentence for each thing that is missing.
 */
export function createSync({ scans, controller, proxy }: SyncParts): () => Promise<readonly string[]> {
  return async () => {
    for (const scan of scans) await scan();
    await controller.turn();
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const missing = missingNow();
      if (missing.length === 0 || performance.now() > deadline) return missing;
      await delay(LOOK_MS);
    }
  };

  function missingNow(): readonly string[] {
    const { report, failure } = controller.status;
    return [
      ...proxy.unsettled().map((id) => `the proxy has not yet taken class ${id}`),
      ...report.held.map(showHeld),
      ...report.unattached.map(({ endpoint, error }) => `${endpoint} is not protected: ${String(error)}`),
      ...(failure === null ? [] : [failure]),
    ];
  }
}
