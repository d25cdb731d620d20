/** A list of measurements in four figures. */
export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
  /** Median of the distances from the median. */
  readonly noise: number;
}

/** @throws RangeError for an empty list, or one with NaN in it */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  if (!(sorted.length > 0) || sorted.some(Number.isNaN))
    throw new RangeError(
      `median: the list is ${values.length > 0 ? "not all numbers" : "empty"}, but must hold numbers. Measure something first.`,
    );
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Minimum, median, maximum and median distance from the median. @throws RangeError as {@link median} */
export function summary(values: readonly number[]): Summary {
  const middle = median(values);
  return {
    min: Math.min(...values),
    median: middle,
    max: Math.max(...values),
    noise: median(values.map((value) => Math.abs(value - middle))),
  };
}
