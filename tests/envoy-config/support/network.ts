import { execFileSync } from 'node:child_process';
import { endingWithUs } from '@weir/agent';
import { runName } from '../../run-name.ts';

/** Three namespaces in a row: client, proxy, server. What the client sends to the server is redirected. */
export interface TestNetwork {
  readonly client: string;
  readonly proxy: string;
  readonly server: string;
  readonly clientAddress: string;
  readonly serverAddress: string;
  /** Sends the server's TCP port to the proxy port. */
  redirect(serverPort: number, proxyPort: number): void;
  remove(): void;
}

/** Mark of packets that the proxy's host delivers to the proxy. */
const deliverMark = '0x200/0xf00';

/** Makes the namespaces; names carry the pid, so that runs do not meet. */
export function makeNetwork(label: string): TestNetwork {
  const name = (role: string) => `weir-ec-${runName(label)}-${role}`;
  const [client, proxy, server] = [name('c'), name('p'), name('s')];
  for (const namespace of [client, proxy, server]) run('ip', 'netns', 'add', namespace);
  link(client, proxy, 'toclient', '10.77.1');
  link(server, proxy, 'toserver', '10.77.2');
  inside(proxy, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  inside(proxy, 'ip', 'rule', 'add', 'fwmark', deliverMark, 'lookup', '2004');
  inside(proxy, 'ip', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', '2004');
  // Replies of the server go to the client's address, and must reach the proxy's socket that has it.
  mangle(proxy, '-p', 'tcp', '-m', 'socket', '--transparent', '-j', 'MARK', '--set-mark', deliverMark);
  return {
    client,
    proxy,
    server,
    clientAddress: '10.77.1.2',
    serverAddress: '10.77.2.2',
    redirect(serverPort, proxyPort) {
      const match = ['-i', 'toclient', '-p', 'tcp', '-d', '10.77.2.2', '--dport', `${serverPort}`];
      const target = ['-j', 'TPROXY', '--on-ip', '127.0.0.1', '--on-port', `${proxyPort}`];
      mangle(proxy, ...match, ...target, '--tproxy-mark', deliverMark);
    },
    remove() {
      for (const namespace of [client, proxy, server]) run('ip', 'netns', 'del', namespace);
    },
  };
}

/** Words that run a program in a namespace, until this process ends at the latest. */
export function entering(namespace: string, ...command: readonly string[]): readonly [string, ...string[]] {
  return endingWithUs('nsenter', `--net=/run/netns/${namespace}`, ...command);
}

/** Runs a program in a namespace and returns what it printed. */
export function inside(namespace: string, ...command: readonly string[]): string {
  return run(...entering(namespace, ...command));
}

function link(outer: string, proxy: string, device: string, network: string): void {
  run('ip', 'link', 'add', 'eth0', 'netns', outer, 'type', 'veth', 'peer', 'name', device, 'netns', proxy);
  inside(outer, 'ip', 'addr', 'add', `${network}.2/24`, 'dev', 'eth0');
  inside(proxy, 'ip', 'addr', 'add', `${network}.1/24`, 'dev', device);
  for (const [namespace, name] of [
    [outer, 'lo'],
    [outer, 'eth0'],
    [proxy, 'lo'],
    [proxy, device],
  ] as const) {
    inside(namespace, 'ip', 'link', 'set', name, 'up');
  }
  inside(outer, 'ip', 'route', 'add', 'default', 'via', `${network}.1`);
}

function mangle(namespace: string, ...rule: readonly string[]): void {
  inside(namespace, 'iptables', '-w', '-t', 'mangle', '-A', 'PREROUTING', ...rule);
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
