import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One number that a benchmark stands for. */
export interface Figure {
  readonly value: number;
  readonly unit: string;
  readonly better: 'higher' | 'lower';
}

/** Writes `bench/results/NAME.json`. */
export function writeResult(name: string, figures: Readonly<Record<string, Figure>>): void {
  const directory = join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify({ figures }, null, 2)}\n`);
}
