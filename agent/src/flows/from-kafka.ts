import type { KafkaReport } from '@weir/envoy-config';
import { apiKeyName } from '@weir/l7-policy';
import type { Directory } from './directory.ts';
import type { Flow, FlowRule } from './flow.ts';
import type { Places } from './from-access-log.ts';

/** The flow that a report of the Kafka filter tells of. */
export function flowFromKafka(
  report: KafkaReport,
  directory: Directory,
  places: Places,
): Omit<Flow, 'sequence'> {
  const { source, destination, verdict } = report;
  return {
    time: new Date(report.atMs).toISOString(),
    kind: 'request',
    verdict: verdict === 'allowed' ? 'allowed' : report.reason === 'answer' ? 'failed' : 'denied',
    reason: reasonOf(report),
    protocol: 'TCP',
    source: directory.peerByAddress(source.address, source.port),
    destination: directory.peerByAddress(destination.address, destination.port),
    request: null,
    kafka: {
      api: apiKeyName(report.apiKey),
      apiVersion: report.apiVersion,
      correlationId: report.correlationId,
      clientId: report.clientId,
      topics: report.topics,
      topicCount: report.topicCount,
    },
    rules: rulesOf(report, places),
    untold: 0,
  };
}

/** Like that of an HTTP request where rules decided, else the filter's own. */
function reasonOf({ verdict, reason, refusedBy }: KafkaReport): string | null {
  if (verdict === 'allowed') return null;
  const side = refusedBy[0];
  return reason === 'rules' && side !== undefined ? `${side}-rules` : `kafka-${reason}`;
}

/** The rules that let something through; for a refusal by a side's rules, those that none of matched. */
function rulesOf(report: KafkaReport, places: Places): readonly FlowRule[] {
  const { verdict, refusedBy, classId, egressRules, ingressRules } = report;
  if (verdict !== 'allowed')
    return refusedBy.map((side) => ({ rule: null, places: places.ofSide(classId, side) }));
  return [...egressRules, ...ingressRules].map((rule) => ({ rule, places: places.ofRule(rule) }));
}
