import { dispose } from "../../src/gpu/matrix.ts";
import type { Gpu, Matrix } from "../../src/index.ts";

type Disposed = { [dispose](): void };

/** Makes matrices and frees them all at once. */
export interface Operands {
  upload(name: string, rows: number, columns: number, values: Float32Array): Matrix;
  matrix(name: string, rows: number, columns: number): Matrix;
  /** What else is to be freed with them. */
  keep<T extends Disposed>(thing: T): T;
  readonly destroy: () => void;
}

/** A row's operands on the device. */
export function onDevice(gpu: Gpu): Operands {
  const made: Disposed[] = [];
  const keep = <T extends Disposed>(thing: T): T => {
    made.push(thing);
    return thing;
  };
  return {
    upload: (...given) => keep(gpu.upload(...given)),
    matrix: (...given) => keep(gpu.matrix(...given)),
    keep,
    destroy: () => made.forEach((thing) => thing[dispose]()),
  };
}

/** Bytes of an f32 matrix without its padding. */
export const bytesOf = (rows: number, columns: number): number => 4 * rows * columns;

/** Matrices [width, samples] of the device as [samples, width] in f64. */
export async function bySample(gpu: Gpu, matrices: readonly Matrix[]): Promise<Float64Array[]> {
  const read: Float64Array[] = [];
  for (const matrix of matrices) {
    const { rows, columns } = matrix;
    read.push(Float64Array.from(transposed(await gpu.read(matrix), rows, columns)));
  }
  return read;
}

/** [columns, rows] of [rows, columns]. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) turned[j * rows + i] = values[i * columns + j];
  return turned;
}
