// How long a connection lives on after its permission has gone: from the change of the policy file to the last byte that
// comes through, on 1,000 open connections, busy and idle, through the proxy and not, accelerated and plain, in both
// families; and the same where the new policy needs a class that is new to the proxy, for which it waits for Envoy, on
// purpose. And what a rule that only allows more does to them.
// `node bench/revocation.bench.ts [ROUNDS] [CONNECTIONS]`

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DEATHSTAR, DEATHSTAR6, type Stage, setStage, stageNames } from '@weir/agent';
import { runName } from '../tests/run-name.ts';
import { writeResult } from './result.ts';
import type { ConnectionReport } from './revocation/clients.ts';
import { table } from './table.ts';

const rounds = Number(process.argv[2] ?? '3');
const connections = Number(process.argv[3] ?? '1000');
/** Ports of the Death Star: one goes through the proxy, one does not. */
const PROXIED = 80;
const DIRECT = 8080;
/** A quarter of the connections through either port are busy: the machine must serve all of them while it measures. */
const busy = Math.round(connections / 8);
const idle = Math.round(connections / 2) - busy;
/** Long after the slowest of them. */
const SETTLED_MS = 1_500;

/** For labels of peers, with rules for HTTP or for layer 4 alone. Other peers are another class. */
const policy = (name: string, orgs: readonly string[], http = true): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}, namespace: default}
spec:
  endpointSelector: {matchLabels: {class: deathstar}}
  ingress:
    - fromEndpoints: [{matchExpressions: [{key: org, operator: In, values: [${orgs.join()}]}]}]
      toPorts:
        - ports: [{port: "${DIRECT}", protocol: TCP}]
    - fromEndpoints: [{matchExpressions: [{key: org, operator: In, values: [${orgs.join()}]}]}]
      toPorts:
        - ports: [{port: "${PROXIED}", protocol: TCP}]${http ? '\n          rules: {http: [{path: "/"}]}' : ''}
`;

interface Sample {
  readonly kind: string;
  readonly ms: number;
}

const samples: Sample[] = [];
let endedByAllow = 0;
let passedAfter = 0;
for (const accelerated of [false, true]) {
  const stage = await setStage(stageNames(runName(accelerated ? 'revoke-fast' : 'revoke')), [
    '--accelerate',
    accelerated ? 'on' : 'off',
  ]);
  try {
    for (let round = 0; round < rounds; round += 1)
      for (const address of [DEATHSTAR, DEATHSTAR6])
        for (const other of [null, `${round}-${address.length}`])
          await revoke(stage, address, accelerated, other);
    const { acceleration, accelerationCounters } = (await stage.status()).datapath;
    if (acceleration.kind === 'off' && accelerated) throw new Error(acceleration.reason);
    if (accelerated && (accelerationCounters['accelerated'] ?? 0) < connections)
      throw new Error(`little went around TCP: ${JSON.stringify(accelerationCounters)}`);
  } finally {
    await stage.strike();
  }
}

/** Opens connections, allows more, then revokes, with a class for `other` if not null, and samples what became of them. */
async function revoke(
  stage: Stage,
  address: string,
  accelerated: boolean,
  other: string | null,
): Promise<void> {
  stage.savePolicy('deathstar.yaml', policy('deathstar', ['empire']));
  await stage.sync();
  const clients = await openClients(stage, address);
  stage.savePolicy('more.yaml', policy('more', ['alliance']));
  await stage.sync();
  await settled();
  endedByAllow += (await clients.report()).filter(({ endedUs }) => endedUs !== null).length;

  const changedUs = Number(process.hrtime.bigint() / 1000n);
  const revoking =
    other === null ? policy('deathstar', ['alliance'], false) : policy('deathstar', ['alliance', other]);
  stage.savePolicy('deathstar.yaml', revoking);
  await settled();
  const reports = await clients.report();
  clients.tell('try');
  await settled();
  const after = await clients.report();
  passedAfter += after.filter(
    ({ lastByteUs }, index) => lastByteUs > (reports[index]?.lastByteUs ?? 0),
  ).length;
  const family = address === DEATHSTAR6 ? 'IPv6' : 'IPv4';
  for (const { port, busy: wasBusy, lastByteUs, endedUs } of reports) {
    const proxied = accelerated ? 'accelerated' : 'proxied';
    const kind = `${other === null ? family : 'new class'}, ${port === PROXIED ? proxied : 'direct'}`;
    samples.push({
      kind: `${kind}, ${wasBusy ? 'busy' : 'idle'}`,
      ms: Math.max(0, lastByteUs - changedUs) / 1000,
    });
    if (port === PROXIED)
      samples.push({
        kind: `${kind}, closed`,
        ms: endedUs === null ? Number.POSITIVE_INFINITY : (endedUs - changedUs) / 1000,
      });
  }
  clients.close();
  stage.removePolicy('more.yaml');
}

const isClosed = (kind: string): boolean => kind.endsWith('closed');
const quantile = (part: number, among: (kind: string) => boolean): number => {
  const sorted = samples
    .filter(({ kind }) => among(kind))
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
};
const row = (name: string, among: (kind: string) => boolean): string[] => [
  name,
  ...[0.5, 0.99, 1].map((part) => quantile(part, among).toFixed(1)),
];
const kinds = [...new Set(samples.map(({ kind }) => kind))].sort();

console.log(`${connections} connections, ${rounds} rounds of each; milliseconds from the change of the file`);
console.log(
  table([
    ['connection', 'p50', 'p99', 'max'],
    ...kinds.map((kind) => row(kind, (other) => other === kind)),
    row('last byte, all', (kind) => !isClosed(kind)),
    row('closed, all', isClosed),
  ]),
);
console.log(
  `${endedByAllow} connections ended by a rule that allows more; ${passedAfter} answered after revocation`,
);
const isNew = (kind: string): boolean => kind.startsWith('new class');
const p99 = (among: (kind: string) => boolean) =>
  ({ value: quantile(0.99, among), unit: 'ms', better: 'lower' }) as const;
writeResult('revocation', {
  'last byte after revocation, p99': p99((kind) => !isClosed(kind) && !isNew(kind)),
  'last byte after revocation, new class, p99': p99((kind) => !isClosed(kind) && isNew(kind)),
  'last byte after revocation, accelerated, p99': p99(
    (kind) => kind.includes('accelerated') && !isClosed(kind),
  ),
  'proxied connection closed, p99': p99(isClosed),
  'ended by a rule that allows more': { value: endedByAllow, unit: 'connections', better: 'lower' },
  'answered after revocation': { value: passedAfter, unit: 'connections', better: 'lower' },
});
if (endedByAllow > 0 || passedAfter > 0) process.exitCode = 1;

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
}

async function openClients(
  stage: Stage,
  address: string,
): Promise<{
  report(): Promise<readonly ConnectionReport[]>;
  tell(command: string): void;
  close(): void;
}> {
  const [program, ...enter] = stage.network.inPod('tiefighter');
  const script = join(import.meta.dirname, 'revocation/clients.ts');
  const kindsOf = [PROXIED, DIRECT].map((port) => `${port}:${busy}:${idle}`);
  const child = spawn(program, [...enter, process.execPath, script, address, ...kindsOf], {
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
