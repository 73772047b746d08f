// How long a connection lives on after its permission has gone: from the change of the policy file to the last byte that
// comes through, on 1,000 open connections, busy and idle, through the proxy and not. And what a rule that only allows
// more does to them.
// `node bench/revocation.bench.ts [ROUNDS] [CONNECTIONS]`

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DEATHSTAR, setStage, stageNames } from '@weir/agent';
import { writeResult } from './result.ts';
import type { ConnectionReport } from './revocation/clients.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '5');
const connections = Number(process.argv[3] ?? '1000');
/** Ports of the Death Star: one goes through the proxy, one does not. */
const PROXIED = 80;
const DIRECT = 8080;
/** A quarter of the connections through either port are busy: the machine must serve all of them while it measures. */
const busy = Math.round(connections / 8);
const idle = Math.round(connections / 2) - busy;
/** Long after the slowest of them. */
const SETTLED_MS = 1_500;

/** With rules for HTTP, or for layer 4 alone: a version that needs a class of its own waits for Envoy, on purpose. */
const policy = (name: string, org: string, http = true): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: deathstar}}
  ingress:
    - fromEndpoints: [{matchLabels: {org: ${org}}}]
      toPorts:
        - ports: [{port: "${DIRECT}", protocol: TCP}]
    - fromEndpoints: [{matchLabels: {org: ${org}}}]
      toPorts:
        - ports: [{port: "${PROXIED}", protocol: TCP}]${http ? '\n          rules: {http: [{path: "/"}]}' : ''}
`;

interface Sample {
  readonly kind: string;
  readonly ms: number;
}

const names = stageNames(`revoke${process.pid}`);
const stage = await setStage(names);
const samples: Sample[] = [];
let endedByAllow = 0;
let passedAfter = 0;
try {
  for (let round = 0; round < rounds; round += 1) {
    stage.savePolicy('deathstar.yaml', policy('deathstar', 'empire'));
    await stage.sync();
    const clients = await openClients();
    stage.savePolicy('more.yaml', policy('more', 'alliance'));
    await stage.sync();
    await settled();
    endedByAllow += (await clients.report()).filter(({ endedUs }) => endedUs !== null).length;

    const changedUs = Number(process.hrtime.bigint() / 1000n);
    stage.savePolicy('deathstar.yaml', policy('deathstar', 'alliance', false));
    await settled();
    const reports = await clients.report();
    clients.tell('try');
    await settled();
    const after = await clients.report();
    passedAfter += after.filter(
      ({ lastByteUs }, index) => lastByteUs > (reports[index]?.lastByteUs ?? 0),
    ).length;
    for (const { port, busy: wasBusy, lastByteUs, endedUs } of reports) {
      const way = port === PROXIED ? 'proxied' : 'direct';
      samples.push({
        kind: `${way}, ${wasBusy ? 'busy' : 'idle'}`,
        ms: Math.max(0, lastByteUs - changedUs) / 1000,
      });
      if (port === PROXIED)
        samples.push({
          kind: 'proxied, closed',
          ms: endedUs === null ? Number.POSITIVE_INFINITY : (endedUs - changedUs) / 1000,
        });
    }
    clients.close();
    stage.removePolicy('more.yaml');
  }
} finally {
  await stage.strike();
}

const quantile = (kind: string, part: number): number => {
  const sorted = samples
    .filter((sample) => sample.kind === kind)
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
};
const bytes = samples.filter(({ kind }) => kind !== 'proxied, closed');
const all = bytes.map(({ ms }) => ms).sort((a, b) => a - b);
const p99 = all[Math.floor(all.length * 0.99)] ?? Number.NaN;
const kinds = [...new Set(samples.map(({ kind }) => kind))].sort();

console.log(`${connections} connections, ${rounds} rounds; milliseconds from the change of the file`);
console.log(
  table([
    ['connection', 'p50', 'p99', 'max'],
    ...kinds.map((kind) => [kind, ...[0.5, 0.99, 1].map((part) => quantile(kind, part).toFixed(1))]),
    [
      'last byte, all',
      all[Math.floor(all.length / 2)]?.toFixed(1) ?? '',
      p99.toFixed(1),
      all.at(-1)?.toFixed(1) ?? '',
    ],
  ]),
);
console.log(
  `${endedByAllow} connections ended by a rule that allows more; ${passedAfter} answered after revocation`,
);
writeResult('revocation', {
  'last byte after revocation, p99': { value: p99, unit: 'ms', better: 'lower' },
  'proxied connection closed, p99': { value: quantile('proxied, closed', 0.99), unit: 'ms', better: 'lower' },
  'ended by a rule that allows more': { value: endedByAllow, unit: 'connections', better: 'lower' },
  'answered after revocation': { value: passedAfter, unit: 'connections', better: 'lower' },
});
if (endedByAllow > 0 || passedAfter > 0) process.exitCode = 1;

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
}

async function openClients(): Promise<{
  report(): Promise<readonly ConnectionReport[]>;
  tell(command: string): void;
  close(): void;
}> {
  const [program, ...enter] = stage.network.inPod('tiefighter');
  const script = join(import.meta.dirname, 'revocation/clients.ts');
  const kindsOf = [PROXIED, DIRECT].map((port) => `${port}:${busy}:${idle}`);
  const child = spawn(program, [...enter, process.execPath, script, DEATHSTAR, ...kindsOf], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return {
    tell: (command) => child.stdin.write(`${command}\n`),
    async report() {
      child.stdin.write('report\n');
      return JSON.parse((await lines.next()).value ?? '[]');
    },
    close: () => child.stdin.end(),
  };
}
