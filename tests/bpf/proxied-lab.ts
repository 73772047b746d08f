// An Envoy between alpha and beta, and event-driven sockets on both sides. Call it inside the lab.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endingWithUs } from '@weir/agent';
import {
  type AccelerationChoice,
  type AccelerationCount,
  type Datapath,
  listeningPorts,
  noSet,
  proxyPort,
  setNumber,
} from '@weir/bpf';
import { tcpProxy } from '../../bench/datapath/envoy-config.ts';
import { waitUntil } from '../integration/wait-until.ts';
import { temporaryFolder } from '../run-name.ts';
import { apply, command, marks, namespacePath, openLabDatapath, workloads } from './lab.ts';
import { openPuppet, type Puppet } from './puppet.ts';

/** Of beta; an `echo` answers with what came. */
export const servers = {
  plain: { port: 80 },
  blocking: { port: 81 },
  echoes: { port: 82 },
  both: { port: 83, host: '::' },
  mptcp: { port: 84, mptcp: true },
} as const;

export interface ProxiedLab {
  readonly client: Puppet;
  readonly web: Puppet;
  /** The one that was opened last. */
  datapath(): Datapath;
  /** Another agent takes over. */
  reopen(choice: AccelerationChoice): void;
  /** What beta's policy says of alpha: through the proxy, past it, or not at all. */
  permit(verdict?: 'l7' | 'allow' | 'deny'): void;
  /** A connection of alpha and beta's end of it, both proven, and past the first bytes, which may go by TCP. */
  establish(kind?: Exclude<keyof typeof servers, 'echoes'>, host?: string): Promise<[string, string]>;
  /** What was counted meanwhile. */
  counted(act: () => Promise<void>): Promise<Record<AccelerationCount, number>>;
  /** Connections of sizes up to the largest, half-closed, each proven byte for byte; gives what was wrong. */
  many(count: number, largest: number): Promise<readonly string[]>;
  /** Sets sysctls. */
  tune(place: 'alpha' | 'node', ...settings: readonly string[]): void;
  close(): Promise<void>;
}

/** But for one test, clients take no source port that Envoy may take for its leg. There are enough for 10,000 in TIME_WAIT. */
export const ownPorts = 'net.ipv4.ip_local_port_range=10000 31999';
const envoyBinary = join(import.meta.dirname, '../../build/envoy/envoy/_bin/envoy');
const port = 15001;
const set = setNumber(7);
/** Of beta, for a server that a test starts. */
export const sparePort = 85;

export async function openProxiedLab(lab: string, choice: AccelerationChoice = 'on'): Promise<ProxiedLab> {
  const folder = temporaryFolder('acceleration');
  const open = (accelerate: AccelerationChoice): Datapath =>
    openLabDatapath(lab, { accelerate, capacity: { connections: 65536 } });
  let datapath = open(choice);
  let number = 0;

  const permit = (verdict: 'l7' | 'allow' | 'deny' = 'l7'): void =>
    void apply(
      datapath,
      'beta',
      [...Object.values(servers).map((server) => server.port), sparePort].map((each) => ({
        direction: 'ingress',
        peer: workloads.alpha.identity,
        protocol: 6,
        port: each,
        verdict: verdict === 'l7' ? { kind: 'l7', set } : { kind: verdict },
      })),
    );
  const tune = (place: 'alpha' | 'node', ...settings: readonly string[]): void =>
    void command('nsenter', `--net=${namespacePath(lab, place)}`, 'sysctl', '-qw', ...settings);

  datapath.maps.pairs.set({ egressSet: noSet, ingressSet: set }, { proxyPort: proxyPort(port) });
  permit();
  const config = join(folder, 'envoy.json');
  writeFileSync(config, JSON.stringify(tcpProxy({ port, mark: marks.proxy })));
  const words = ['-c', config, '--concurrency', '2', '--disable-hot-restart', '--log-level', 'error'];
  const [program, ...rest] = endingWithUs(envoyBinary, ...words);
  tune('alpha', ownPorts);
  const envoy = spawn(program, rest, { stdio: 'inherit' });
  const client = openPuppet(lab, 'alpha');
  const web = openPuppet(lab, 'beta');
  for (const [name, server] of Object.entries(servers)) await web.ask({ op: 'listen', name, ...server });
  await web.ask({ op: 'echoes', name: 'echoes' });
  await waitUntil('Envoy on its port', 20_000, async () => {
    const ports = listeningPorts(4);
    return ports.has(port) ? { done: ports } : { seen: [...ports] };
  });

  return {
    client,
    web,
    datapath: () => datapath,
    permit,
    tune,
    reopen(next) {
      datapath.close();
      datapath = open(next);
      permit();
    },
    async establish(kind = 'plain', host = workloads.beta.address) {
      number += 1;
      const [near, far] = [`client${number}`, `server${number}`];
      const blocking = kind === 'blocking';
      const op = blocking ? 'connect_blocking' : 'connect';
      await client.ask({ op, name: near, host, port: servers[kind].port });
      await web.ask({ op: 'accept', name: far, on: kind, blocking });
      await client.ask({ op: 'send', name: near, text: 'hello' });
      assert.equal(await web.ask({ op: 'recv', name: far }), 'hello');
      await web.ask({ op: 'send', name: far, text: 'welcome' });
      assert.equal(await client.ask({ op: 'recv', name: near }), 'welcome');
      return [near, far];
    },
    async counted(act) {
      const earlier = datapath.accelerationCounters();
      await act();
      return Object.fromEntries(
        Object.entries(datapath.accelerationCounters()).map(([name, now]) => [
          name,
          Number(now - earlier[name as AccelerationCount]),
        ]),
      ) as Record<AccelerationCount, number>;
    },
    async many(count, largest) {
      const to = { host: workloads.beta.address, port: servers.echoes.port };
      const result = await client.ask({ op: 'many', ...to, count, parallel: 24, largest, seed: 3 });
      const { done, wrong } = result as { done: number; wrong: readonly string[] };
      return done === count ? wrong : [...wrong, `${done} of ${count} connections ended`];
    },
    async close() {
      await Promise.all([client.close(), web.close()]);
      envoy.kill('SIGKILL');
      rmSync(folder, { recursive: true });
    },
  };
}
