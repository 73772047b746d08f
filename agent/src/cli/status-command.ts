import { isNearlyFull } from '@weir/redirect';
import { Command } from 'commander';
import type { Status } from '../api/api-types.ts';
import { clientOf, globalOptions, print } from './global-options.ts';
import { showProblem } from './show-problem.ts';
import { table } from './table.ts';

/** `weir status`: how every part stands. */
export function statusCommand(): Command {
  return new Command('status')
    .description('how agent, Envoy, workloads and policies stand')
    .action(async (_words, command: Command) => {
      const options = globalOptions(command);
      const status = (await clientOf(options).call('GET', '/v1/status')) as Status;
      print(options, status, showStatus);
      if (!status.healthy) process.exitCode = 1;
    });
}

/** The status as people read it. */
export function showStatus(status: Status): string {
  const { envoy, datapath, workloads, policies, classes } = status;
  const counted = Object.entries(datapath.counters).filter(([, count]) => count > 0);
  const sections = [
    `instance ${status.instance}, version ${status.version}, pid ${status.pid}, since ${status.startedAt}: ${status.healthy ? 'healthy' : 'NOT healthy'}`,
    `Envoy: ${envoy.state}${envoy.pid === null ? '' : `, pid ${envoy.pid}`}, ${envoy.connected ? 'connected' : 'NOT connected'}`,
    table([
      ['WORKLOAD', 'NAMESPACE', 'ADDRESSES', 'IDENTITY', 'PROTECTED', 'DEFAULT DENY'],
      ...workloads.map((item) => [
        item.name,
        item.namespace,
        item.addresses.join(','),
        String(item.identity ?? '-'),
        item.protected ? 'yes' : item.ifindex === null ? 'no: no interface' : 'NO',
        showEnforced(item.enforced),
      ]),
    ]),
    classes.length === 0
      ? 'L7: no connection goes through the proxy'
      : table([
          ['L7 CLASS', 'PORT', 'STATE', 'RULES AT'],
          ...classes.map(({ id, port, state, places, problem }) => [
            id.slice(0, 12),
            port === 0 ? '-' : String(port),
            problem === null ? state : `${state}: ${problem}`,
            places.join(', '),
          ]),
        ]),
    counted.length === 0
      ? 'no packet has been judged yet'
      : table([['OUTCOME', 'COUNT'], ...counted.map(([name, count]) => [name, String(count)])]),
    datapath.maps.map(showUsage).join(', '),
    showAcceleration(datapath),
    showLost(status.flows),
    `policies: ${policies.files} files in ${policies.directory}`,
    ...policies.problems.map(showProblem),
    ...datapath.held,
    ...(datapath.failure === null ? [] : [`the last turn was given up: ${datapath.failure}`]),
  ];
  return sections.join('\n\n');
}

function showUsage(usage: Status['datapath']['maps'][number]): string {
  const { map, entries, maxEntries } = usage;
  return `${map}: ${entries} of ${maxEntries} entries${isNearlyFull(usage) ? ', NEARLY FULL' : ''}`;
}

function showAcceleration({ acceleration, accelerationCounters }: Status['datapath']): string {
  if (acceleration.kind === 'off') return `acceleration: off, ${acceleration.reason}`;
  const counted = Object.entries(accelerationCounters).filter(([, count]) => count > 0);
  return ['acceleration: on', ...counted.map(([name, count]) => `${name} ${count}`)].join(', ');
}

function showLost({ total, accessLogDropped, accessLogUndecoded }: Status['flows']): string {
  const dropped = accessLogDropped === null ? 'an unknown number' : String(accessLogDropped);
  return `flows: ${total} seen; requests not logged: ${dropped} dropped, ${accessLogUndecoded} messages not understood`;
}

function showEnforced({ ingress, egress }: { ingress: boolean; egress: boolean }): string {
  const directions = [...(ingress ? ['ingress'] : []), ...(egress ? ['egress'] : [])];
  return directions.length === 0 ? '-' : directions.join(', ');
}
