import { spawn, spawnSync } from 'node:child_process';
import { setScene } from './datapath/scene.ts';
import { wrk } from './datapath/wrk.ts';

const scene = await setScene();
try {
  for (const name of (process.argv[2] ?? '').split(';')) {
    const v = scene.variants.find((x) => x.name === name)!;
    await wrk(v, 'kept', 1);
    const out = `/tmp/accel/${name.replace(/\W+/g, '_')}.data`;
    const perf = spawn(
      'perf',
      ['record', '-a', '-e', 'cpu-clock', '-F', '2000', '-g', '-o', out, '--', 'sleep', '4'],
      { stdio: 'ignore' },
    );
    const m = await wrk(v, 'kept', 4);
    await new Promise((r) => perf.once('exit', r));
    console.log(name, m);
    console.log(
      spawnSync('perf', ['report', '-i', out, '--no-children', '--sort', 'comm', '--stdio', '-g', 'none'], {
        encoding: 'utf8',
      })
        .stdout.split('\n')
        .filter((l) => /%/.test(l))
        .slice(0, 12)
        .join('\n'),
    );
    console.log(
      spawnSync('perf', ['report', '-i', out, '--no-children', '--sort', 'sym', '--stdio', '-g', 'none'], {
        encoding: 'utf8',
      })
        .stdout.split('\n')
        .filter((l) => /%/.test(l))
        .slice(0, 60)
        .join('\n'),
    );
  }
} finally {
  await scene.strike();
}
