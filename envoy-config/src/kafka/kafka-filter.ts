import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** The compiled filter, as every Kafka class carries it. */
export interface KafkaFilter {
  readonly code: Uint8Array;
  /** First 16 hex digits of the code's SHA-256. Names the VM: other code never shares one. */
  readonly digest: string;
}

const built = resolve(import.meta.dirname, '../../../build/kafka-filter/kafka.wasm');

/**
 * Reads the filter that `make setup` built.
 * @throws Error when it is not there.
 */
export function readKafkaFilter(path = built): KafkaFilter {
  const code = readFileSync(path);
  return { code, digest: createHash('sha256').update(code).digest('hex').slice(0, 16) };
}
