/** Kafka's message schemas -> kafka-schemas.json, kafka-filter/tables.ts, docs/kafka-apis.md; see `refresh-kafka`. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { compileTables, tablesSource } from './compile-kafka-tables.ts';
import { kafkaApisPage } from './kafka-apis-page.ts';
import { readRelease, type SchemaRange } from './read-kafka-schemas.ts';

const root = resolve(import.meta.dirname, '../..');
/** Version 0 of SaslHandshake is followed by frames that are no Kafka requests: they could hide anything. */
function usable(range: SchemaRange): SchemaRange {
  return range.name === 'SaslHandshake' ? { ...range, versions: [1, range.versions[1]] } : range;
}

const folder = (release: string) => resolve(root, 'build/kafka-schemas', release, 'common/message');

/** The newest release, and the last that knew the versions which Kafka 4 dropped. */
const newest = '4.3.0';
const before = '3.9.1';

const now = readRelease(folder(newest), newest, true);
const then = readRelease(folder(before), before, false);
const ranges: SchemaRange[] = [];
for (const apiKey of [...new Set([...now.keys(), ...then.keys()])].sort((a, b) => a - b)) {
  const [current, old] = [now.get(apiKey), then.get(apiKey)];
  const dropped = current?.versions[0] ?? Number.POSITIVE_INFINITY;
  if (
    old !== undefined &&
    old.versions[0] < dropped &&
    (current === undefined || current.name === old.name)
  ) {
    ranges.push({ ...old, versions: [old.versions[0], Math.min(old.versions[1], dropped - 1)] });
  }
  if (current !== undefined) ranges.push(usable(current));
}

writeFileSync(resolve(root, 'envoy-config/kafka-schemas.json'), `${JSON.stringify(ranges)}\n`);
writeFileSync(resolve(root, 'envoy-config/kafka-filter/tables.ts'), tablesSource(compileTables(ranges)));
writeFileSync(resolve(root, 'docs/kafka-apis.md'), kafkaApisPage(ranges));
