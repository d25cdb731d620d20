/** Rows that stand side by side and have the same class: positions `from` ≤ p < `to`. */
export interface Run {
  label: number;
  from: number;
  to: number;
}

/**
 * The rows of H in order of their sample's class, ties as they lie: order[p] is the row drawn at position p.
 *
 * @param classes one label a sample, [n]
 * @param outputs rows a sample, O; row i·O + a belongs to sample i
 */
export function orderByClass(classes: ArrayLike<number>, outputs = 1): Uint32Array {
  const label = (row: number) => classes[Math.floor(row / outputs)];
  const rows = Uint32Array.from({ length: classes.length * outputs }, (_, row) => row);
  return rows.sort((a, b) => label(a) - label(b) || a - b);
}

/**
 * The runs of one class along `order` (null: as the rows lie). None without classes, and none where they are
 * too many (64) to be marked: the order then is not by class.
 */
export function classRuns(classes: number[] | null, order: Uint32Array | null, N: number): Run[] {
  if (!classes?.length) return [];
  const outputs = N / classes.length;
  const runs: Run[] = [];
  for (let p = 0; p < N; p++) {
    const label = classes[Math.floor((order ? order[p] : p) / outputs)];
    const last = runs.at(-1);
    if (last?.label === label) last.to = p + 1;
    else runs.push({ label, from: p, to: p + 1 });
  }
  return runs.length <= 64 ? runs : [];
}
