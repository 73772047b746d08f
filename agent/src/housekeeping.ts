import type { Datapath, LinkWatch } from '@weir/bpf';
import type { Redirector } from '@weir/redirect';
import type { Logger } from 'pino';
import type { Controller } from './controller.ts';
import type { ProxyClasses } from './proxy/proxy-classes.ts';
import type { Workloads } from './workloads/workloads.ts';

/** What is looked after. */
export interface HousekeepingParts {
  readonly controller: Controller;
  readonly workloads: Workloads;
  readonly redirector: Redirector;
  readonly proxy: ProxyClasses;
  readonly datapath: Pick<Datapath, 'retirePredecessors'>;
  /** Calls back after links of the node have changed. */
  readonly watchLinks: (onChange: () => void) => LinkWatch;
  readonly log: Logger;
}

const PERIOD_MS = 2_000;

/**
 * Looks at interfaces as soon as the kernel says that some came, went or were made anew, and every two seconds at what
 * nobody announces: classes whose last connection has ended, and interfaces once more. Ends when closed.
 */
export function startHousekeeping(parts: HousekeepingParts): { close(): void } {
  const { controller, workloads, redirector, proxy, datapath, watchLinks, log } = parts;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;
  let looking = false;
  let changed = false;
  const links = watchLinks(linksChanged);

  /** What changes while it looks makes it look once more. */
  function linksChanged(): void {
    changed = true;
    if (!looking) void lookAtLinks();
  }

  async function lookAtLinks(): Promise<void> {
    looking = true;
    while (changed && !closed) {
      changed = false;
      try {
        if (await workloads.look()) await controller.turn();
      } catch (error) {
        log.error({ err: error }, 'looking at links');
      }
    }
    looking = false;
  }

  async function look(): Promise<void> {
    const moved = await workloads.look();
    if (closed) return;
    const drained = redirector.drained();
    if (drained.length > 0) {
      proxy.drop(drained);
      drained.forEach(redirector.release);
      log.info({ classes: drained }, 'classes without connections withdrawn');
    }
    retirePredecessors(controller, datapath);
    if (moved || controller.status.missingInterfaces.length > 0) await controller.turn();
  }

  function schedule(): void {
    if (closed) return;
    timer = setTimeout(() => {
      void look()
        .catch((error) => log.error({ err: error }, 'housekeeping'))
        .finally(schedule);
    }, PERIOD_MS);
  }
  schedule();
  return {
    close() {
      closed = true;
      links.close();
      clearTimeout(timer);
    },
  };
}

/** What a build with another layout left goes when everything that should be protected is, by this one. */
export function retirePredecessors(
  { status: { failure, report } }: Pick<Controller, 'status'>,
  datapath: Pick<Datapath, 'retirePredecessors'>,
): void {
  if (failure === null && report.unattached.length === 0) datapath.retirePredecessors();
}
