import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from './network.ts';
import { clearNode, type DemoNode, exampleFolder, type StageNames, setNode } from './node.ts';
import { launchServer, launchShip, type Server, type Ship } from './ship.ts';

/** The Death Star and two ships, each in a namespace of its own, with an agent on the node between them. */
export interface Stage extends DemoNode, StageNames {
  readonly ships: Readonly<Record<'tiefighter' | 'xwing' | 'deathstar', Ship>>;
  /** Lets this process end while servers, agent and Envoy go on, on a stage that stays; the ships come home. */
  leave(): Promise<void>;
  /** Ends ships, servers, agent and Envoy, and removes whatever they left. */
  strike(): Promise<void>;
}

/** Files of examples/deathstar. */
const EXAMPLE = exampleFolder('deathstar');
/** The addresses that examples/deathstar/workloads.yaml names. */
export const PODS: readonly Pod[] = Object.freeze([
  { name: 'deathstar', address: '10.77.0.1', address6: 'fd77::1', interface: 'weir-deathstar' },
  { name: 'tiefighter', address: '10.77.0.2', address6: 'fd77::2', interface: 'weir-tie' },
  { name: 'xwing', address: '10.77.0.3', address6: 'fd77::3', interface: 'weir-xwing' },
]);
export const DEATHSTAR = '10.77.0.1';
export const DEATHSTAR6 = 'fd77::1';

/** Sets the stage: network, servers, ships and an agent without policies. What an earlier run left goes first. */
export async function setStage(
  names: StageNames,
  agentWords: readonly string[] = [],
  stays = false,
): Promise<Stage> {
  const workloads = join(EXAMPLE, 'workloads.yaml');
  const node = await setNode(names, { pods: PODS, workloads, agentWords, stays });
  const { network } = node;
  const closers: (() => Promise<void>)[] = [];

  async function launchServers(stay: boolean): Promise<readonly Server[]> {
    return [
      await launchServer(network.inPod('deathstar'), [80, 8080], stay),
      await launchServer(network.inPod('xwing'), [80], stay),
    ];
  }

  async function goHome(): Promise<void> {
    for (const close of closers.splice(0)) await close();
  }

  async function strike(): Promise<void> {
    await goHome();
    await node.strike();
  }

  try {
    closers.push(...(await launchServers(false)).map(({ close }) => close));
    const ships = {
      tiefighter: launchShip(network.inPod('tiefighter')),
      xwing: launchShip(network.inPod('xwing')),
      deathstar: launchShip(network.inPod('deathstar')),
    };
    closers.push(ships.tiefighter.close, ships.xwing.close, ships.deathstar.close);
    await node.startAgent();
    return {
      ...node,
      ...names,
      ships,
      async leave() {
        await goHome();
        for (const server of await launchServers(true)) server.leave();
        node.agent()?.unref();
      },
      strike,
    };
  } catch (error) {
    await strike();
    throw error;
  }
}

/** Text of a file of the example. */
export function exampleText(name: string): string {
  return readFileSync(join(EXAMPLE, name), 'utf8');
}

/** Removes whatever a stage of these names left, whether it ended well or not. */
export function clearStage(names: StageNames): Promise<void> {
  return clearNode(names, PODS);
}
