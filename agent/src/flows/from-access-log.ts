import type { RequestRecord, RequestVerdict } from '@weir/envoy-config';
import type { Directory } from './directory.ts';
import type { Flow, FlowRule, FlowVerdict } from './flow.ts';

/** The flow that a record of Envoy's access log tells of; `placesOf` finds a rule in the policy files. */
export function flowFromAccessLog(
  record: RequestRecord,
  directory: Directory,
  placesOf: (rule: string) => readonly string[],
): Omit<Flow, 'sequence'> {
  const { source, destination, verdict } = record;
  return {
    time: new Date(record.startedAtMs).toISOString(),
    kind: 'request',
    verdict: VERDICTS[verdict.kind],
    reason: verdict.kind === 'denied' ? verdict.reason : verdict.kind === 'failed' ? record.details : null,
    protocol: 'TCP',
    source: directory.peerByAddress(source.address, source.port),
    destination: directory.peerByAddress(destination.address, destination.port),
    request: {
      method: record.method,
      path: record.path,
      host: record.host,
      protocol: record.protocol,
      status: record.status,
      durationMs: record.durationMs,
      requestBytes: record.requestBytes,
      responseBytes: record.responseBytes,
    },
    rules: rulesOf(verdict).map((rule): FlowRule => ({ rule, places: placesOf(rule) })),
  };
}

const VERDICTS: Readonly<Record<RequestVerdict['kind'], FlowVerdict>> = {
  allowed: 'allowed',
  denied: 'denied',
  failed: 'failed',
};

function rulesOf(verdict: RequestVerdict): readonly string[] {
  if (verdict.kind !== 'allowed') return [];
  return [verdict.egressRule, verdict.ingressRule].flatMap((rule) => (rule === null ? [] : [rule]));
}
