import loadWgsl from "../../shaders/fragments/load.wgsl";
import finiteWgsl from "../../shaders/0-matrix/finite.wgsl";
import { NonFiniteError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, pitch, type Matrix } from "../gpu/matrix.ts";
import type { Job } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";

export const finite = defineShader({
  name: "finite",
  wgsl: [finiteWgsl, loadWgsl],
  dims: ["rows", "columns", "slots", "slot"],
  buffers: { matrix: ["read", "rows", "columns"], found: ["read_write", "slots", 3] },
  sizes: {},
});

/** Looks on the device whether matrices are finite, without waiting; `settle` then waits once for all of them. */
export class FiniteCheck {
  readonly #gpu: Gpu;
  readonly #found: Matrix;
  readonly #watched: { matrix: Matrix; operand: string }[] = [];

  /** @param slots how many matrices will be looked at */
  constructor(gpu: Gpu, slots: number) {
    this.#gpu = gpu;
    this.#found = gpu.matrix("finite found", slots, 3);
    const row = new Float32Array(new Uint32Array([0, 0xffffffff, 0]).buffer);
    for (let slot = 0; slot < slots; slot++) gpu.writeBits(this.#found, slot, row);
  }

  /** Records the look at one matrix. @param operand what the error calls it */
  watch(matrix: Matrix, operand: string): void {
    const vec4s = matrix.bytes / 16;
    finite(this.#gpu, {
      dims: {
        rows: matrix.rows,
        columns: matrix.columns,
        slots: this.#found.rows,
        slot: this.#watched.length,
      },
      buffers: { matrix, found: this.#found },
      groups: [Math.ceil(vec4s / 64 / 64)],
      flops: 4 * vec4s,
    });
    this.#watched.push({ matrix, operand });
  }

  /**
   * Waits for the looks.
   *
   * @returns the largest |value| of each matrix
   * @throws NonFiniteError for the first matrix that is not finite
   */
  async settle(caller: string, cure: string, job?: Job): Promise<number[]> {
    const values = await this.#gpu.read(this.#found, job);
    const found = new Uint32Array(values.buffer);
    return this.#watched.map(({ matrix, operand }, slot) => {
      const [count, place] = found.subarray(3 * slot, 3 * slot + 2);
      if (count === 0) return values[3 * slot + 2];
      const width = pitch(matrix.columns);
      const index = Math.floor(place / width) * matrix.columns + (place % width);
      throw new NonFiniteError(caller, operand, index, count, cure);
    });
  }

  [dispose](): void {
    this.#found.destroy();
  }
}
