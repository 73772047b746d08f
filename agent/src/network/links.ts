import { existsSync } from 'node:fs';
import type { RunIp } from './run-ip.ts';

/** A network interface, as `ip link` shows it. */
export interface Link {
  readonly ifindex: number;
  readonly name: string;
  /** Number of the other end of a veth pair, in that end's namespace; undefined for other kinds. */
  readonly peer: number | undefined;
  readonly addresses: readonly string[];
}

/** All links of the current network namespace. */
export async function listLinks(ip: RunIp): Promise<readonly Link[]> {
  return parseLinks(await ip('-j', 'address', 'show'));
}

/** A link inside a named network namespace; undefined when namespace or link is not there. */
export async function findLinkInside(netns: string, name: string, ip: RunIp): Promise<Link | undefined> {
  try {
    return parseLinks(await ip('-n', netns, '-j', 'address', 'show', 'dev', name))[0];
  } catch {
    return undefined;
  }
}

/** Names of the interfaces that lead to the rest of the world: those of the default routes of both families. */
export async function listUplinks(ip: RunIp): Promise<readonly string[]> {
  // A kernel without IPv6 has no such routes to show.
  const families = existsSync('/proc/net/if_inet6') ? ['-4', '-6'] : ['-4'];
  const shown = await Promise.all(families.map((family) => ip(family, '-j', 'route', 'show', 'default')));
  const routes = shown.flatMap((json) => JSON.parse(json) as readonly RawRoute[]);
  const devices = routes.flatMap(({ dev, nexthops }) => [dev, ...(nexthops ?? []).map((hop) => hop.dev)]);
  return [...new Set(devices.flatMap((device) => device ?? []))];
}

interface RawRoute {
  readonly dev?: string;
  /** Of a route with several ways. */
  readonly nexthops?: readonly { readonly dev?: string }[];
}

interface RawLink {
  readonly ifindex: number;
  readonly ifname: string;
  readonly link_index?: number;
  readonly addr_info: readonly { readonly local: string }[];
}

function parseLinks(json: string): readonly Link[] {
  const links: readonly RawLink[] = JSON.parse(json);
  return links.map(({ ifindex, ifname, link_index, addr_info }) => ({
    ifindex,
    name: ifname,
    peer: link_index,
    addresses: addr_info.map(({ local }) => local),
  }));
}
