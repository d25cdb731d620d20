import { InputError } from "../errors.ts";
import type { Table } from "./table.ts";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Reads comma-separated numbers. A first line without any number is a header and is skipped.
 *
 * @param text the file; lines end with \n or \r\n, blank lines only at the end
 * @param name begins every message
 * @returns f64 [lines, columns]
 *
 * @throws InputError with line and column for empty cells, cells that are no finite number, ragged lines
 *
 * @example readCsv("x,y\n1,2\n3,4\n", "points.csv").shape // [2, 2]
 */
export function readCsv(text: string, name: string): Table {
  const lines = text
    .replace(/^\ufeff/, "")
    .trimEnd()
    .split(/\r?\n/)
    .map((line) => line.split(",").map((cell) => cell.trim()));
  const first = lines[0].some((cell) => NUMBER.test(cell)) ? 0 : 1;
  if (first === lines.length)
    throw new InputError(`${name}: holds no line of numbers, but must hold one at least. Fill it.`);
  const columns = lines[first].length;
  const data = new Float64Array((lines.length - first) * columns);
  for (let line = first; line < lines.length; line++) {
    const cells = lines[line];
    if (cells.length !== columns)
      throw new InputError(
        `${name}: line ${line + 1} has ${cells.length} cells, but must have ${columns} as line ` +
          `${first + 1}. Complete it.`,
      );
    for (let column = 0; column < columns; column++) {
      const value = NUMBER.test(cells[column]) ? Number(cells[column]) : NaN;
      if (!Number.isFinite(value))
        throw new InputError(
          `${name}: line ${line + 1}, column ${column + 1} is ${JSON.stringify(cells[column].slice(0, 40))}, ` +
            "but must be a finite number. Cells are separated by commas, decimals by a point.",
        );
      data[(line - first) * columns + column] = value;
    }
  }
  return { shape: [lines.length - first, columns], data };
}
