import { random } from "./guarded.ts";

/** 1, and each edge −1, itself, +1 and twice +1, and what else is asked for; ascending. */
export const around = (edges: readonly number[], more: readonly number[] = []): number[] =>
  [
    ...new Set([1, ...edges.flatMap((edge) => [edge - 1, edge, edge + 1, 2 * edge + 1]), ...more]),
  ].sort((a, b) => a - b);

/** A size a name. */
export type Shape<N extends string> = Readonly<Record<N, number>>;

/**
 * One axis at a time through its sizes, the others at `base`; then `count` shapes with every axis at random, the same
 * in every run.
 */
export function shapes<N extends string>(
  base: Shape<N>,
  axes: Readonly<Record<N, readonly number[]>>,
  count: number,
): Shape<N>[] {
  const names = Object.keys(base) as N[];
  const single = names.flatMap((name) => axes[name].map((size) => ({ ...base, [name]: size })));
  const next = random(1);
  const mixed = Array.from({ length: count }, () =>
    Object.fromEntries(
      names.map((name) => [name, 1 + Math.floor(next() ** 2 * Math.max(...axes[name]))]),
    ),
  );
  return [...single, ...mixed] as Shape<N>[];
}
