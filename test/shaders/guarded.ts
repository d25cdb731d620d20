import { type Gpu } from "../../src/node.ts";
import { dispose, pitch, type Matrix } from "../../src/gpu/matrix.ts";

/** What stands where nothing was written yet: a NaN whose bits nothing computes. */
const FILL = 0x7fc0_1dea;
/** Rows behind a result that no shader may touch. */
const CANARIES = 16;

export const padded = (size: number): number => Math.ceil(size / 16) * 16;

/** Uniform numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Kind = "normal" | "uniform";
/** All-positive data is the hard case: no error cancels. */
export const KINDS: readonly Kind[] = ["normal", "uniform"];

/** N(0, 1) or U(0, 1), rounded to f32. */
export function sample(kind: Kind, length: number, seed: number): Float32Array<ArrayBuffer> {
  const next = random(seed);
  return Float32Array.from({ length }, () =>
    kind === "uniform"
      ? next()
      : Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
  );
}

/** Whether a shader is to write the place; places beyond the shape are padding, which it writes as zero. */
export type Written = (row: number, column: number) => boolean;

/**
 * A matrix that finds out what a shader wrote: everything it may write holds NaN before, padding included, and more
 * rows follow in the same buffer.
 */
export class Guarded {
  /** What the shader is called with. */
  readonly matrix: Matrix;
  readonly #gpu: Gpu;
  readonly #whole: Matrix;
  readonly #before: Uint32Array<ArrayBuffer>;

  /** @param values what stands in it before, with padding of zeros; NaN everywhere where left out */
  constructor(gpu: Gpu, name: string, rows: number, columns: number, values?: Float32Array) {
    this.#gpu = gpu;
    this.#whole = gpu.matrix(name, padded(rows) + CANARIES, columns);
    this.matrix = this.#whole.view(rows);
    const width = pitch(columns);
    // The 16 values that a pitch may have more than its columns are nobody's: zero from birth to death.
    this.#before = new Uint32Array(this.#whole.bytes / 4);
    const bits = values && new Uint32Array(Float32Array.from(values).buffer);
    for (let row = 0; row < this.#whole.rows; row++) {
      const canary = row >= padded(rows);
      const at = row * width;
      if (canary || !bits) this.#before.fill(FILL, at, at + padded(columns));
      else if (row < rows) this.#before.set(bits.subarray(row * columns, (row + 1) * columns), at);
    }
    gpu.queue.submit();
    gpu.device.queue.writeBuffer(this.#whole.buffer, 0, this.#before);
  }

  /**
   * The bits [rows, columns], padding removed.
   *
   * @param written default everything up to the padding's end
   * @throws Error where padding is not zero, or a bit changed that was not to be written
   */
  async bits(written?: Written): Promise<Uint32Array<ArrayBuffer>> {
    const { rows, columns, name } = this.matrix;
    const width = pitch(columns);
    const after = await rawBits(this.#gpu, this.#whole);
    const values = new Uint32Array(rows * columns);
    for (let row = 0; row < this.#whole.rows; row++)
      for (let column = 0; column < width; column++) {
        const at = row * width + column;
        const inside = row < rows && column < columns;
        if (inside) values[row * columns + column] = after[at];
        const meant =
          row < padded(rows) && column < padded(columns) && (written?.(row, column) ?? true);
        const expected = meant ? 0 : this.#before[at];
        if (!(meant && inside) && after[at] !== expected)
          throw new Error(
            `${name} [${rows}, ${columns}]: [${row}, ${column}] holds the bits ${after[at].toString(16)}, ` +
              `but must hold ${expected.toString(16)}: ${meant ? "padding" : "not to be written"}.`,
          );
      }
    return values;
  }

  /** The values [rows, columns]; see {@link bits}. */
  async read(written?: Written): Promise<Float32Array<ArrayBuffer>> {
    return new Float32Array((await this.bits(written)).buffer);
  }

  [dispose](): void {
    this.#whole.destroy();
  }
}

/** Every bit of a matrix's buffer, padding included. */
async function rawBits(gpu: Gpu, matrix: Matrix): Promise<Uint32Array> {
  gpu.queue.submit();
  const { device } = gpu;
  const size = matrix.buffer.size;
  const staging = device.createBuffer({ size, usage: 0x1 | 0x8 });
  try {
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(matrix.buffer, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    await gpu.settle(staging.mapAsync(0x1));
    return new Uint32Array(staging.getMappedRange().slice(0));
  } finally {
    staging.destroy();
  }
}

/** The worst error ÷ bound of a test, printed where NTK_WORST is set. */
export function report(what: string, gpu: Gpu, worst: number): void {
  if (process.env.NTK_WORST)
    console.info(`worst  ${gpu.description}  ${what}  ${worst.toPrecision(3)}`);
}
