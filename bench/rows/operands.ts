import type { Gpu, Matrix } from "../../src/index.ts";

/** Makes matrices and frees them all at once. */
export interface Operands {
  upload(name: string, rows: number, columns: number, values: Float32Array): Matrix;
  matrix(name: string, rows: number, columns: number): Matrix;
  readonly destroy: () => void;
}

/** A row's operands on the device. */
export function onDevice(gpu: Gpu): Operands {
  const made: Matrix[] = [];
  const keep = (matrix: Matrix): Matrix => {
    made.push(matrix);
    return matrix;
  };
  return {
    upload: (...given) => keep(gpu.upload(...given)),
    matrix: (...given) => keep(gpu.matrix(...given)),
    destroy: () => made.forEach((matrix) => matrix.destroy()),
  };
}

/** Bytes of an f32 matrix without its padding. */
export const bytesOf = (rows: number, columns: number): number => 4 * rows * columns;

/** [columns, rows] of [rows, columns]. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j];
  return turned;
}
