import type { RequestRecord, RequestVerdict } from '@weir/envoy-config';
import type { Directory } from './directory.ts';
import type { Flow, FlowRule, FlowVerdict } from './flow.ts';

/** Finds what a record names in the policy files, as `file:line`. */
export interface Places {
  /** The rule behind a name in a verdict; null when nobody knows it any more. */
  ruleOf(name: string, path: string): string | null;
  ofRule(rule: string): readonly string[];
  /** The rules that a request of the class must find a match among, on that side. */
  ofSide(classId: string, side: 'egress' | 'ingress'): readonly string[];
}

/** The flow that a record of Envoy's access log tells of. */
export function flowFromAccessLog(
  record: RequestRecord,
  directory: Directory,
  places: Places,
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
      headers: record.headers,
    },
    kafka: null,
    rules: rulesOf(record, places),
    untold: 0,
  };
}

const VERDICTS: Readonly<Record<RequestVerdict['kind'], FlowVerdict>> = {
  allowed: 'allowed',
  denied: 'denied',
  failed: 'failed',
};

/** The rules that allowed; for a refusal by one side's rules, those that none of matched. */
function rulesOf({ verdict, classId, path }: RequestRecord, places: Places): readonly FlowRule[] {
  if (verdict.kind === 'allowed') {
    return [verdict.egressRule, verdict.ingressRule].flatMap((name) => {
      const rule = name === null ? null : places.ruleOf(name, path);
      return rule === null ? [] : [{ rule, places: places.ofRule(rule) }];
    });
  }
  if (verdict.kind !== 'denied') return [];
  if (verdict.reason !== 'egress-rules' && verdict.reason !== 'ingress-rules') return [];
  const side = verdict.reason === 'egress-rules' ? 'egress' : 'ingress';
  return [{ rule: null, places: places.ofSide(classId, side) }];
}
