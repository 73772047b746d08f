// Another build takes over from this one and back, with another layout of its maps, while connections live.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { layoutVersion, openDatapath } from '@weir/bpf';
import { apply, bpffs, enterLab, marks, openLabDatapath, type Rule, workloads } from './lab.ts';
import { makeOtherBuild, type OtherBuild, otherLayout } from './other-build.ts';
import { openPeer, type Peer } from './peer.ts';

const lab = enterLab(import.meta.filename);
const pins = join(bpffs, 'weir', lab);
/** What alpha opens is let in; beta itself may open nothing, so that its answers need the connection's entry. */
const rules: readonly Rule[] = [
  { direction: 'ingress', peer: 1001, verdict: { kind: 'allow' } },
  { direction: 'egress', peer: 1003, verdict: { kind: 'allow' } },
];

describe('an upgrade to another layout', () => {
  let other: OtherBuild;
  let alpha: Peer;
  let beta: Peer;

  before(async () => {
    other = makeOtherBuild();
    writeFileSync(
      join(other.root, 'tests/bpf/take-over.ts'),
      `import { apply, openLabDatapath } from './lab.ts';
       const datapath = openLabDatapath(${JSON.stringify(lab)});
       apply(datapath, 'beta', ${JSON.stringify(rules)});
       datapath.retirePredecessors();
       console.log(datapath.attached().filter(({ current }) => current).length);
       datapath.close();`,
    );
    alpha = openPeer(lab, 'alpha');
    beta = openPeer(lab, 'beta');
    await beta.listen('web', 80);
    await beta.ask({ op: 'udp', name: 'dns', port: 53 });
  });
  after(async () => {
    await Promise.all([alpha.close(), beta.close()]);
    other.remove();
  });

  async function connect(name: string): Promise<void> {
    assert.match(await alpha.connect(name, workloads.beta.address, 80), /^\d+$/);
    assert.match(await alpha.receive(name), /^10\.71\.1\.2:/);
  }

  /** A question of alpha's, in UDP; gives the port that waits for the answer. */
  async function question(): Promise<number> {
    const port = Number(await alpha.ask({ op: 'udp', name: 'question' }));
    await alpha.ask({ op: 'send_to', name: 'question', host: workloads.beta.address, port: 53 });
    assert.match(await beta.ask({ op: 'receive_from', name: 'dns' }), /^1,/);
    return port;
  }

  /** Beta speaks, which only the entry of the connection permits. */
  async function answered(port: number): Promise<void> {
    await beta.ask({ op: 'send_to', name: 'dns', host: workloads.alpha.address, port });
    assert.match(await alpha.ask({ op: 'receive_from', name: 'question' }), /^1,/);
  }

  /** The server says back what it hears. */
  async function alive(name: string): Promise<void> {
    await alpha.send(name, name);
    assert.equal(await alpha.receive(name), name);
  }

  test('living connections go on, and nothing of the other layout is left', async () => {
    const ours = openLabDatapath(lab);
    apply(ours, 'beta', rules);
    await connect('before');
    const port = await question();
    const cut = ours.counters()['permission-lost'];
    ours.close();

    const takeOver = spawnSync(process.execPath, [join(other.root, 'tests/bpf/take-over.ts')], {
      encoding: 'utf8',
    });
    assert.equal(takeOver.stdout.trim(), '4', takeOver.stderr);
    assert.deepEqual(readdirSync(pins), [`layout-${otherLayout}`]);
    await answered(port);
    await alive('before');
    await connect('between');

    const again = openLabDatapath(lab);
    assert.equal(again.adopted, true);
    assert.ok(again.attached().every(({ current }) => current));
    apply(again, 'beta', rules);
    await answered(port);
    await alive('before');
    await alive('between');
    again.retirePredecessors();
    assert.deepEqual(readdirSync(pins), [`layout-${layoutVersion}`]);
    await alive('before');
    await alive('between');
    assert.equal(again.counters()['permission-lost'], cut);
    again.remove();
    assert.ok(!existsSync(pins));
  });

  test('until its interfaces are attached, the build before goes on, and removing takes both away', async () => {
    const ours = openLabDatapath(lab);
    apply(ours, 'beta', rules);
    ours.close();
    const takeOver = spawnSync(process.execPath, [join(other.root, 'tests/bpf/take-over.ts')], {
      encoding: 'utf8',
    });
    assert.equal(takeOver.status, 0, takeOver.stderr);
    const halfway = openDatapath({ instance: lab, marks, bpffs });
    assert.ok(
      halfway.attached().length === 4 && halfway.attached().every(({ current }) => !current),
      'the programs of the other build are known as ours to replace',
    );
    await connect('halfway');
    halfway.remove();
    assert.ok(!existsSync(pins));
    const fresh = openDatapath({ instance: lab, marks, bpffs });
    assert.deepEqual(fresh.attached(), []);
    fresh.remove();
  });
});
