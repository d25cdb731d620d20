import { rowKey } from "./results.ts";
import { denseRows } from "./rows/dense.ts";
import { factorRows } from "./rows/factor.ts";
import { jobRows } from "./rows/jobs.ts";
import { lanczosRows } from "./rows/lanczos.ts";
import { layerRows } from "./rows/layers.ts";
import { partRows } from "./rows/parts.ts";
import { productRows } from "./rows/products.ts";
import { trainingRows } from "./rows/training.ts";
import type { Row } from "./run.ts";

/** Everything that is measured: whole jobs, every shader of the engine at several sizes, what the host does in f64. */
export const ROWS: readonly Row[] = [
  ...jobRows,
  ...trainingRows,
  ...productRows,
  ...layerRows,
  ...partRows,
  ...lanczosRows,
  ...denseRows,
  ...factorRows,
];

/**
 * The rows that names stand for: those whose name and size, `product jjt add n=512 k=2048`, contain one of them.
 *
 * @param names none: all rows; `machine`: no row, as the machine is measured in any case
 * @returns the rows, and the names that stand for none
 */
export function chosen(
  names: readonly string[],
  rows: readonly Row[] = ROWS,
): { readonly rows: readonly Row[]; readonly unknown: readonly string[] } {
  if (names.length === 0) return { rows, unknown: [] };
  const plain = names.map((name) => name.trim().toLowerCase());
  const matches = (name: string, row: Row) => rowKey(row).toLowerCase().includes(name);
  return {
    rows: rows.filter((row) => plain.some((name) => name !== "machine" && matches(name, row))),
    unknown: plain.filter((name) => name !== "machine" && !rows.some((row) => matches(name, row))),
  };
}
