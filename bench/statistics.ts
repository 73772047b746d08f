/** Middle of the values, and the interval that holds the true median with 95 % certainty. */
export interface Median {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Median with its distribution-free interval from order statistics (binomial, normal approximation);
 * for fewer than 6 values the interval is the whole range.
 */
export function median(values: readonly number[]): Median {
  const sorted = [...values].sort((left, right) => left - right);
  const count = sorted.length;
  const at = (index: number): number => sorted[Math.min(count - 1, Math.max(0, index))] ?? Number.NaN;
  const middle = count % 2 === 1 ? at((count - 1) / 2) : (at(count / 2 - 1) + at(count / 2)) / 2;
  const reach = (1.96 * Math.sqrt(count)) / 2;
  return {
    median: middle,
    low: at(Math.floor(count / 2 - reach)),
    high: at(Math.ceil(count / 2 + reach) - 1),
  };
}
