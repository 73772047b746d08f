import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { DEATHSTAR, type Stage, setStage, stageNames } from '@weir/agent';
import { runName } from '../run-name.ts';
import { assertNothingLeft } from './leaks.ts';
import { waitUntil } from './wait-until.ts';

const names = stageNames(runName('storm'));
const edits = 1_000;
const stormMs = 10_000;
const files = 10;
/** Rules of a file besides the one that is edited. */
const others = 30;
/** What processes may grow by while the second half of the storm passes; the agent's collector takes its time. */
const flatKiB = { envoy: 16 * 1024, agent: 160 * 1024 } as const;

let stage: Stage;

before(async () => {
  stage = await setStage(names);
  for (let file = 0; file < files; file += 1) save(file, 'before');
  await stage.sync();
});
after(async () => {
  await stage?.strike();
  assertNothingLeft(names);
});

const edited = (file: number, version: string) => `/v1/edited/${file}/${version}`;

function save(file: number, version: string): void {
  const rule = (path: string) => `              - {method: GET, path: "${path}"}\n`;
  const paths = Array.from({ length: others }, (_, index) => `/v1/file${file}/[0-9]+/${index}`);
  stage.savePolicy(
    `storm-${file}.yaml`,
    `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: storm-${file}, namespace: default}
spec:
  endpointSelector: {matchLabels: {org: empire, class: deathstar}}
  ingress:
    - fromEndpoints: [{matchLabels: {org: empire}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules:
            http:
${[edited(file, version), '/v1/kept', ...paths].map(rule).join('')}`,
  );
}

/** Keep-alive load for that long; what wrk printed. */
function load(seconds: number): Promise<string> {
  const [program, ...enter] = stage.network.inPod('tiefighter');
  const words = [...enter, 'wrk', '-t1', '-c8', `-d${seconds}s`, `http://${DEATHSTAR}/v1/kept`];
  return new Promise((done, failed) => {
    execFile(program, words, (error, stdout) => (error === null ? done(stdout) : failed(error)));
  });
}

async function status(path: string): Promise<number> {
  const request = { address: DEATHSTAR, port: 80, method: 'GET', path, connection: 'held' };
  const outcome = await stage.ships.tiefighter.send(request);
  return outcome.kind === 'answer' ? outcome.status : 0;
}

function residentKiB(pid: number | null | undefined): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

it('a storm of edits under load: the last ones are in force soon after, nothing fails, memory is flat', async () => {
  const { envoy } = await stage.status();
  const sizes = () => ({ envoy: residentKiB(envoy.pid), agent: residentKiB(stage.agent()?.pid) });
  assert.equal(await status(edited(0, 'before')), 200);
  const running = load(stormMs / 1000 + 2);
  const since = performance.now();
  let middle = sizes();
  for (let edit = 0; edit < edits; edit += 1) {
    save(edit % files, String(edit));
    if (edit === edits / 2) middle = sizes();
    const next = since + ((edit + 1) * stormMs) / edits;
    if (next > performance.now()) await delay(next - performance.now());
  }
  const lastOf = (file: number) => edited(file, String(edits - files + file));
  await waitUntil('the last edit of each file', 15_000, async () => {
    const statuses = await Promise.all(Array.from({ length: files }, (_, file) => status(lastOf(file))));
    return statuses.every((each) => each === 200) ? { done: statuses } : { seen: statuses };
  });
  assert.equal(await status(edited(0, String(edits - 2 * files))), 403, 'the edit before the last is gone');
  const end = sizes();
  const printed = await running;
  assert.match(printed, /Requests\/sec/);
  assert.doesNotMatch(printed, /Non-2xx|Socket errors/, printed);
  assert.equal((await stage.status()).healthy, true);
  for (const part of ['envoy', 'agent'] as const) {
    const grown = end[part] - middle[part];
    assert.ok(
      grown < flatKiB[part],
      `${part} grew by ${grown} KiB in half a storm, from ${middle[part]} KiB`,
    );
  }
});
