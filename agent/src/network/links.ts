import type { Workload } from '../workloads/workload.ts';
import type { RunIp } from './run-ip.ts';

interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly link_index?: number;
}

/**
 * The host-side interface of a workload. The kernel numbers interfaces anew when they are made again,
 * so the answer is good only until then. Throws when it is not there.
 */
export async function findInterface(
  attachment: Workload['attachment'],
  ip: RunIp,
): Promise<{ ifindex: number; name: string }> {
  if (attachment.kind === 'interface') {
    const [link] = parseLinks(await ip('-j', 'link', 'show', 'dev', attachment.name));
    if (link === undefined) throw new Error(`there is no interface ${attachment.name}`);
    return { ifindex: link.ifindex, name: link.ifname };
  }
  const { netns, link: name } = attachment;
  const [inside] = parseLinks(await ip('-n', netns, '-j', 'link', 'show', 'dev', name));
  if (inside?.link_index === undefined) throw new Error(`${name} in network namespace ${netns} has no peer`);
  const host = parseLinks(await ip('-j', 'link', 'show')).find(
    ({ ifindex }) => ifindex === inside.link_index,
  );
  if (host?.link_index !== inside.ifindex) {
    throw new Error(
      `the peer of ${name} in network namespace ${netns} is not in the agent's network namespace`,
    );
  }
  return { ifindex: host.ifindex, name: host.ifname };
}

function parseLinks(json: string): readonly Link[] {
  return JSON.parse(json);
}
