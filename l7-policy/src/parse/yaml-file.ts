import type { Value } from './value.ts';

/** Bounds on what one file may hold; past them it is refused. */
export const yamlLimits = {
  textBytes: 8 << 20,
  /** Of a text that is not plain YAML: the library that reads it takes up to eight microseconds a character. */
  unusualBytes: 64 << 10,
  depth: 64,
  aliasedValues: 10_000,
  values: 2_000_000,
  problems: 20,
};

export type YamlLimits = Readonly<typeof yamlLimits>;

/** Of a file that somebody keeps for tests and reads by hand: large ones with anchors are usual. */
export const testFileLimits: YamlLimits = {
  ...yamlLimits,
  textBytes: 64 << 20,
  unusualBytes: 64 << 20,
  aliasedValues: 1_000_000,
};

export interface YamlFile {
  /** Documents that hold something. Empty when `problems` is not. */
  readonly documents: readonly Value[];
  readonly problems: readonly YamlProblem[];
  /** Read by our own scanner, not by the yaml library. */
  readonly plain: boolean;
}

export interface YamlProblem {
  readonly at: number;
  readonly message: string;
}

/** A file that is refused whole. */
export function refuse(at: number, message: string): YamlFile {
  return { documents: [], problems: [{ at, message }], plain: false };
}
