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

/** What a matrix is called where it turns out not to be finite. */
export interface Watched {
  /** First word of the error. */
  readonly caller: string;
  readonly operand: string;
  readonly cure: string;
}

/** Looks on the device whether matrices are finite, without waiting; `settle` then waits once for all of them. */
export class FiniteCheck {
  readonly #gpu: Gpu;
  readonly #found: Matrix;
  readonly #watched: { matrix: Matrix; about: Watched }[] = [];

  /** @param slots how many matrices will be looked at */
  constructor(gpu: Gpu, slots: number) {
    this.#gpu = gpu;
    this.#found = gpu.matrix("finite found", slots, 3);
  }

  /** Records the look at one matrix, which must be alive until then alone. */
  watch(matrix: Matrix, about: Watched): void {
    this.look(matrix, this.#watched.length);
    this.#watched.push({ matrix, about });
  }

  /** Records the pass itself. @internal */
  look(matrix: Matrix, slot: number): void {
    const vec4s = matrix.bytes / 16;
    finite(this.#gpu, {
      dims: { rows: matrix.rows, columns: matrix.columns, slots: this.#found.rows, slot },
      buffers: { matrix, found: this.#found },
      groups: [Math.ceil(vec4s / 64 / 64)],
      flops: 4 * vec4s,
    });
  }

  /**
   * Waits for the looks.
   *
   * @returns the largest |value| of each matrix
   * @throws NonFiniteError for the first matrix that is not finite
   */
  async settle(job?: Job): Promise<number[]> {
    const values = await this.#gpu.read(this.#found, job);
    const found = new Uint32Array(values.buffer);
    return this.#watched.map(({ matrix, about }, slot) => {
      const [count, fromLast] = found.subarray(3 * slot, 3 * slot + 2);
      if (count === 0) return values[3 * slot + 2];
      const place = 0xffffffff - fromLast;
      const width = pitch(matrix.columns);
      const index = Math.floor(place / width) * matrix.columns + (place % width);
      throw new NonFiniteError(about.caller, about.operand, index, count, about.cure);
    });
  }

  [dispose](): void {
    this.#found.destroy();
  }
}
