import type { OutcomeCount } from '../flows/request-counters.ts';
import type { RuleStatus, Status } from './api-types.ts';

/** What the metrics are made of. */
export interface MetricSources {
  readonly status: Status;
  readonly rules: readonly RuleStatus[];
  readonly outcomes: readonly OutcomeCount[];
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

/** Everything that is counted, in Prometheus's text format (version 0.0.4). Counters begin with the agent. */
export function metricsText({ status, rules, outcomes }: MetricSources): string {
  const { flows, envoy, datapath } = status;
  return [
    metric(
      'weir_requests_total',
      'counter',
      'Requests through the proxy by verdict.',
      outcomes.map(({ verdict, reason, requests }) => [{ verdict, reason: reason ?? '' }, requests]),
    ),
    metric(
      'weir_rule_requests_total',
      'counter',
      'Requests that a rule let through.',
      rules.map(({ rule, places, requests }) => [{ rule, place: places[0] ?? '' }, requests]),
    ),
    metric('weir_flows_total', 'counter', 'Connections and requests that were seen.', [[{}, flows.total]]),
    metric('weir_access_log_undecoded_total', 'counter', 'Messages of the access log not understood.', [
      [{}, flows.accessLogUndecoded],
    ]),
    metric(
      'weir_access_log_dropped_total',
      'counter',
      'Requests that Envoy could not log, since its start; absent while Envoy does not answer.',
      flows.accessLogDropped === null ? [] : [[{}, flows.accessLogDropped]],
    ),
    metric(
      'weir_workload_packets_total',
      'counter',
      'Packets dropped, and connections allowed and redirected, at the interface of each workload.',
      status.workloads.flatMap(({ name, outcomes: counted }) =>
        counted.map(
          ({ direction, reason, packets }): Sample => [
            { workload: name, direction, outcome: reason },
            packets,
          ],
        ),
      ),
    ),
    metric(
      'weir_datapath_total',
      'counter',
      'Packets and connections in the kernel by outcome, since its maps were made.',
      Object.entries(datapath.counters).map(([outcome, count]) => [{ outcome }, count]),
    ),
    metric(
      'weir_map_entries',
      'gauge',
      'Entries of the policy maps.',
      datapath.maps.map(({ map, entries }) => [{ map }, entries]),
    ),
    metric(
      'weir_map_max_entries',
      'gauge',
      'Entries that the policy maps can hold; what does not fit is refused.',
      datapath.maps.map(({ map, maxEntries }) => [{ map }, maxEntries]),
    ),
    metric('weir_envoy_connected', 'gauge', 'Whether Envoy takes configuration.', [
      [{}, envoy.connected ? 1 : 0],
    ]),
    metric('weir_healthy', 'gauge', 'Whether every part does what it should.', [
      [{}, status.healthy ? 1 : 0],
    ]),
  ].join('');
}

function metric(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => `${name}${showLabels(labels)} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function showLabels(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels);
  return entries.length === 0
    ? ''
    : `{${entries.map(([label, value]) => `${label}="${escaped(value)}"`).join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
