import { InputError } from "../errors.ts";
import type { Gpu } from "./device.ts";

/** The key of `using`: where the host has no `Symbol.dispose`, the one that compilers fall back to. */
export const dispose: typeof Symbol.dispose = (Symbol.dispose ??
  Symbol.for("Symbol.dispose")) as typeof Symbol.dispose;

/** Both axes are stored rounded up to this many values, the rest zero, so that no shader has a ragged inner loop. */
export const ALIGN = 16;

/** A size with its padding. */
export const rounded = (size: number): number => Math.ceil(size / ALIGN) * ALIGN;

/**
 * Values from the start of one row to the start of the next: the columns rounded up to 16, plus 16 where that would
 * be a multiple of 256, because rows a power of two apart fall on the same cache lines. `pitch4` in
 * `shaders/fragments/load.wgsl` is the same rule in vec4s.
 */
export function pitch(columns: number): number {
  const width = rounded(columns);
  return width % 256 === 0 ? width + ALIGN : width;
}

/** Bytes that a matrix takes on the device, padding included. */
export const matrixBytes = (rows: number, columns: number): number =>
  rounded(rows) * pitch(columns) * 4;

/** What a shader can be given: a matrix, or one that a kernel class has laid out anew. */
export type Operand = Pick<Matrix, "gpu" | "name" | "rows" | "columns" | "resource">;

/** A buffer on the device with a shape: f32 [rows, columns], row-major, `pitch(columns)` values a row, padding zero. */
export class Matrix {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly #gpu: Gpu;
  readonly #buffer: GPUBuffer;
  readonly #owner: Matrix | null;
  #alive = true;

  /** @internal made by `gpu.matrix(…)`; `owner` is the matrix that a view looks into. */
  constructor(
    gpu: Gpu,
    name: string,
    rows: number,
    columns: number,
    buffer: GPUBuffer,
    owner: Matrix | null = null,
  ) {
    this.#gpu = gpu;
    this.name = name;
    this.rows = rows;
    this.columns = columns;
    this.#buffer = buffer;
    this.#owner = owner;
  }

  /** The engine that the matrix belongs to. */
  get gpu(): Gpu {
    return this.#gpu;
  }

  get pitch(): number {
    return pitch(this.columns);
  }

  /** Size on the device, padding included. */
  get bytes(): number {
    return matrixBytes(this.rows, this.columns);
  }

  get alive(): boolean {
    return this.#owner ? this.#owner.alive : this.#alive;
  }

  /** The buffer itself, to be bound without a copy: rows `pitch` values apart. @throws InputError after `destroy()` */
  get buffer(): GPUBuffer {
    if (!this.alive)
      throw new InputError(
        `${this.name}: the matrix was destroyed, but must be alive to be used. Destroy it after its last use.`,
      );
    return this.#buffer;
  }

  /** How a shader is given it. @internal */
  get resource(): GPUBindingResource {
    return { buffer: this.buffer };
  }

  /** The first `rows` rows as a matrix of their own on the same memory; it dies with this one. */
  view(rows: number): Matrix {
    if (!(rows >= 1 && rows <= this.rows))
      throw new InputError(
        `${this.name}: a view of ${rows} rows was asked for, but the matrix has ${this.rows}. Ask for 1 to ${this.rows}.`,
      );
    return this.reshape(rows, this.columns);
  }

  /** The same memory, from its start, as a matrix of another shape that takes no more bytes; it dies with this one. */
  reshape(rows: number, columns: number): Matrix {
    if (!(rows >= 1 && columns >= 1 && matrixBytes(rows, columns) <= this.bytes))
      throw new InputError(
        `${this.name}: ${rows} × ${columns} was asked for, but it is ${this.rows} × ${this.columns}. Ask for less.`,
      );
    return new Matrix(this.#gpu, this.name, rows, columns, this.buffer, this);
  }

  /** Frees the memory; up to 4 MiB wait for the next submission. A second call, or one on a view, does nothing. */
  destroy(): void {
    if (this.#owner || !this.#alive) return;
    this.#alive = false;
    this.#gpu.release(this.#buffer);
  }

  [dispose](): void {
    this.destroy();
  }
}
