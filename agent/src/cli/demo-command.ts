import { Command } from 'commander';
import { clearStage, setStage, stageNames } from '../demo/stage.ts';
import { tellStory } from '../demo/story.ts';

/** `weir demo`: the Death Star's exhaust port, on real connections. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('show API-level policy on real connections, in network namespaces of its own')
    .option('--keep', 'leave it running and say how to look around')
    .option('--remove', 'remove what an earlier run left, and do nothing else')
    .action(async ({ keep, remove }: { keep?: boolean; remove?: boolean }) => {
      if (process.getuid?.() !== 0)
        throw new Error('the demo needs root: it makes network namespaces and loads BPF programs');
      const names = stageNames('demo');
      if (remove === true) return clearStage(names);
      const say = (text: string): void => void process.stdout.write(`${text}\n`);
      say('Setting the stage: three workloads in network namespaces of their own, an agent, an Envoy.');
      const stage = await setStage(names);
      let stopped = false;
      const interrupted = new Promise<'interrupted'>((resolve) => {
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
          process.on(signal, () => resolve('interrupted'));
      });
      try {
        stopped = (await Promise.race([tellStory(stage, say), interrupted])) === 'interrupted';
      } finally {
        if (keep === true && !stopped) {
          say(stayText(stage.network.namespaceOf('tiefighter'), stage.policyDirectory));
          await stage.leave();
        } else {
          await stage.strike();
          say(stopped ? '\nInterrupted; everything is removed.' : '\nEverything is removed.');
        }
      }
      if (stopped) process.exitCode = 130;
    });
}

function stayText(ship: string, policies: string): string {
  return [
    '',
    'It is left running. Look around:',
    '  ./weir --instance demo status',
    '  ./weir --instance demo monitor --last 20',
    "  ./weir --instance demo policy explain --from tiefighter --to deathstar --port 80 --http 'PUT /v1/exhaust-port'",
    `  ip netns exec ${ship} curl -si -X POST http://10.77.0.1/v1/request-landing`,
    `  edit ${policies}/deathstar.yaml`,
    'Remove it with:',
    '  ./weir demo --remove',
  ].join('\n');
}
