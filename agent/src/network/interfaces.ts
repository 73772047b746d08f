import type { Workload } from '../workloads/workload.ts';
import { findLinkInside, type Link, listLinks, listUplinks } from './links.ts';
import type { RunIp } from './run-ip.ts';

/** Where the workloads' interfaces, and those to the rest of the world, were last seen. */
export interface Interfaces {
  /** Number of a workload's host-side interface; undefined while there is none. */
  indexOf(workload: string): number | undefined;
  /** Numbers of the interfaces to the rest of the world. */
  uplinks(): readonly number[];
  /** Addresses of the node itself, without loopback and what is bound to a link. */
  nodeAddresses(): ReadonlySet<string>;
  /** Looks all of them up; true when anything is different. A missing interface is no error. */
  refresh(workloads: readonly Workload[]): Promise<boolean>;
}

/** What is needed of the machine. */
export interface InterfacesParts {
  readonly ip: RunIp;
  /** Names of interfaces to the rest of the world; null: those of the default routes. */
  readonly uplinks: readonly string[] | null;
  /** Told once of each interface that comes to belong to a workload. */
  readonly onWorkloadLink: (name: string) => void;
}

/** Nothing is known before the first `refresh`. */
export function createInterfaces({ ip, uplinks, onWorkloadLink }: InterfacesParts): Interfaces {
  let known: ReadonlyMap<string, Link> = new Map();
  let outside: readonly number[] = [];
  let own: ReadonlySet<string> = new Set();

  /** The kernel numbers interfaces anew when they are made again, so number and peer tell whether one is still the same. */
  async function find({ name, attachment }: Workload, links: readonly Link[]): Promise<Link | undefined> {
    if (attachment.kind === 'interface') return links.find((link) => link.name === attachment.name);
    const before = known.get(name);
    const same = links.find(({ ifindex, peer }) => ifindex === before?.ifindex && peer === before.peer);
    if (same !== undefined) return same;
    const inside = await findLinkInside(attachment.netns, attachment.link, ip);
    return links.find(({ ifindex, peer }) => ifindex === inside?.peer && peer === inside.ifindex);
  }

  return {
    indexOf: (workload) => known.get(workload)?.ifindex,
    uplinks: () => outside,
    nodeAddresses: () => own,
    async refresh(workloads) {
      const links = await listLinks(ip);
      const next = new Map<string, Link>();
      for (const workload of workloads) {
        const link = await find(workload, links);
        if (link !== undefined) next.set(workload.name, link);
      }
      const names = uplinks ?? (await listUplinks(ip));
      const nextOutside = links.flatMap(({ ifindex, name }) => (names.includes(name) ? [ifindex] : []));
      const came = [...next].filter(([workload, link]) => known.get(workload)?.ifindex !== link.ifindex);
      const nextOwn = new Set(
        links.flatMap(({ addresses }) => addresses.filter((address) => isOfTheNode(address))),
      );
      const different =
        came.length > 0 ||
        next.size !== known.size ||
        nextOutside.join() !== outside.join() ||
        nextOwn.symmetricDifference(own).size > 0;
      known = next;
      outside = nextOutside;
      own = nextOwn;
      for (const [, { name }] of came) onWorkloadLink(name);
      return different;
    },
  };
}

/** Loopback never leaves the node, and link-local addresses of IPv6 are others on each link. */
function isOfTheNode(address: string): boolean {
  return address !== '::1' && !address.startsWith('127.') && !/^fe[89ab]/i.test(address);
}
