import type { Peer } from '../access-record.ts';
import { type KafkaReport, kafkaReasons, kafkaVerdicts } from './kafka-report.ts';

/** What one call of the filter carries. */
export interface KafkaReports {
  readonly reports: readonly KafkaReport[];
  /** Reports that the filter dropped because too many waited. */
  readonly dropped: number;
}

/**
 * Decodes the message of `weir.kafka.v1.Requests/Report`, which `kafka-filter/reports.ts` writes.
 * @throws RangeError when it is malformed.
 */
export function decodeReports(message: Buffer): KafkaReports {
  const reports: KafkaReport[] = [];
  const dropped = message.readInt32BE(0);
  for (let at = 4; at < message.length; ) {
    const size = message.readInt32BE(at);
    if (size < 8 || at + size > message.length) throw new RangeError('a report is cut off');
    reports.push(decodeReport(message.subarray(at + 4, at + size)));
    at += size;
  }
  return { reports, dropped };
}

function decodeReport(bytes: Buffer): KafkaReport {
  let at = 0;
  const number = (size: 1 | 2 | 4): number => {
    const value = bytes.readIntBE(at, size);
    at += size;
    return value;
  };
  const text = (): string => {
    const size = number(2);
    const start = at;
    at += size;
    if (size < 0 || at > bytes.length) throw new RangeError('a report is cut off');
    return bytes.toString('utf8', start, at);
  };
  const texts = (): readonly string[] => Array.from({ length: number(1) }, text);
  const atMs = Number(bytes.readBigInt64BE(0));
  at = 8;
  const classId = text();
  const source = peer(text());
  const destination = peer(text());
  const apiKey = number(2);
  const apiVersion = number(2);
  const correlationId = number(4);
  const clientId = text();
  const verdict = kafkaVerdicts[number(1)];
  const reason = kafkaReasons[number(1)];
  const sides = number(1);
  const topicCount = number(4);
  const topics = Array.from({ length: number(1) }, () => ({ refused: number(1) === 1, name: text() }));
  if (verdict === undefined || reason === undefined) throw new RangeError('a report of another version');
  return {
    classId,
    atMs,
    source,
    destination,
    apiKey,
    apiVersion,
    correlationId,
    clientId,
    verdict,
    reason,
    refusedBy: [
      ...((sides & 1) === 0 ? [] : ['egress' as const]),
      ...((sides & 2) === 0 ? [] : ['ingress' as const]),
    ],
    topics,
    topicCount,
    egressRules: texts(),
    ingressRules: texts(),
  };
}

/** `1.2.3.4:5` or `[::1]:5`. */
function peer(text: string): Peer {
  const colon = text.lastIndexOf(':');
  return {
    address: text.slice(0, Math.max(colon, 0)).replace(/^\[|\]$/g, ''),
    port: Number(text.slice(colon + 1)),
  };
}
