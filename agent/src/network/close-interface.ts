import { BpfError, ifindex, openDatapath, openDatapathView } from '@weir/bpf';
import type { Instance } from '@weir/redirect';
import { findLinkInside, type Link, listLinks } from './links.ts';
import { runIp } from './run-ip.ts';

/** Where a workload is attached, as `weir endpoint add` says it. */
export interface NamedLink {
  readonly interface?: string;
  readonly netns?: string;
  readonly link?: string;
}

/**
 * Puts the instance's programs on a workload's interface while no agent knows the workload: nothing passes then, until
 * an agent does. Gives the interface's name; undefined when it is not there, or nothing of the instance is in the
 * kernel.
 */
export async function closeInterface(
  { name: instance, marks }: Instance,
  bpffs: string,
  where: NamedLink,
): Promise<string | undefined> {
  if (!isInKernel(bpffs, instance)) return undefined;
  const link = await findLink(where);
  if (link === undefined) return undefined;
  const datapath = openDatapath({ instance, marks, bpffs });
  try {
    datapath.attach(ifindex(link.ifindex));
  } finally {
    datapath.close();
  }
  return link.name;
}

function isInKernel(bpffs: string, instance: string): boolean {
  try {
    openDatapathView({ bpffs, instance }).close();
    return true;
  } catch (error) {
    if (error instanceof BpfError) return false;
    throw error;
  }
}

async function findLink({ interface: name, netns, link = 'eth0' }: NamedLink): Promise<Link | undefined> {
  const links = await listLinks(runIp);
  if (name !== undefined) return links.find((found) => found.name === name);
  const inside = netns === undefined ? undefined : await findLinkInside(netns, link, runIp);
  return links.find(({ ifindex: number, peer }) => number === inside?.peer && peer === inside.ifindex);
}
