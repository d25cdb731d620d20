import { rowKey, type BenchResult, type RowResult } from "./results.ts";

/** One row of two benches. */
export interface Change {
  readonly key: string;
  /** Milliseconds of one call: of CPU where both know them, else of wall time. */
  readonly before: number;
  readonly after: number;
  /** After over before; above 1 is slower. */
  readonly ratio: number;
  /** What the ratio may be off 1 by for no reason: 3 times the sum of both relative noises, at least 5 %. */
  readonly margin: number;
  readonly verdict: "slower" | "faster" | "same" | "wrong";
}

const LEAST_MARGIN = 0.05;

/**
 * What became slower or faster, beyond the noise of both.
 *
 * @returns one entry for each row that both hold; `wrong` where the later one failed its check
 */
export function compare(
  before: Pick<BenchResult, "rows">,
  after: Pick<BenchResult, "rows">,
): Change[] {
  const known = new Map(before.rows.map((row) => [rowKey(row), row]));
  return after.rows.flatMap((row) => {
    const key = rowKey(row);
    const old = known.get(key);
    if (!old?.ms) return [];
    if (!row.ms)
      return [{ key, before: old.ms.median, after: NaN, ratio: NaN, margin: 0, verdict: "wrong" }];
    const byCpu = old.cpuMs !== null && row.cpuMs !== null;
    const [was, is] = [figure(old, byCpu), figure(row, byCpu)];
    const ratio = is.median / was.median;
    const margin = Math.max(LEAST_MARGIN, 3 * (was.noise / was.median + is.noise / is.median));
    const verdict = ratio > 1 + margin ? "slower" : ratio < 1 / (1 + margin) ? "faster" : "same";
    return [{ key, before: was.median, after: is.median, ratio, margin, verdict }] as Change[];
  }) as Change[];
}

const figure = ({ cpuMs, cpuNoise, ms }: RowResult, byCpu: boolean) =>
  byCpu && cpuMs !== null
    ? { median: cpuMs, noise: cpuNoise ?? 0 }
    : { median: ms?.median ?? NaN, noise: ms?.noise ?? 0 };
