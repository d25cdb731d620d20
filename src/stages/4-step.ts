import loadWgsl from "../../shaders/fragments/load.wgsl";
import collapseWgsl from "../../shaders/4-lanczos/collapse.wgsl";
import gatherWgsl from "../../shaders/4-lanczos/gather.wgsl";
import multiplyWgsl from "../../shaders/4-lanczos/multiply.wgsl";
import projectWgsl from "../../shaders/4-lanczos/project.wgsl";
import scaleWgsl from "../../shaders/4-lanczos/scale.wgsl";
import subtractWgsl from "../../shaders/4-lanczos/subtract.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import { defineShader } from "../gpu/shader.ts";

export const multiply = defineShader({
  name: "multiply",
  wgsl: [multiplyWgsl, loadWgsl],
  dims: ["n", "vectors", "blocks", "parts", "step"],
  buffers: {
    matrix: ["read", "n", "n"],
    basis: ["read", "vectors", "n"],
    partial: ["read_write", "parts", "n"],
  },
  sizes: { LANES: 8 },
});
export const gather = defineShader({
  name: "gather",
  wgsl: [gatherWgsl, loadWgsl],
  dims: ["n", "vectors", "blocks", "parts", "lanes", "step", "scale"],
  buffers: { partial: ["read", "parts", "n"], basis: ["read_write", "vectors", "n"] },
  sizes: {},
});
export const project = defineShader({
  name: "project",
  wgsl: [projectWgsl, loadWgsl],
  dims: ["n", "vectors", "chunks", "step", "first", "last"],
  buffers: { basis: ["read", "vectors", "n"], dots: ["read_write", "chunks", "vectors"] },
  sizes: {},
});
export const collapse = defineShader({
  name: "collapse",
  wgsl: [collapseWgsl, loadWgsl],
  dims: ["vectors", "chunks", "step", "round"],
  buffers: {
    dots: ["read", "chunks", "vectors"],
    weights: ["read_write", 1, "vectors"],
    tridiagonal: ["read_write", 2, "vectors"],
  },
  sizes: {},
});
export const subtract = defineShader({
  name: "subtract",
  wgsl: [subtractWgsl, loadWgsl],
  dims: ["n", "vectors", "step"],
  buffers: { weights: ["read", 1, "vectors"], basis: ["read_write", "vectors", "n"] },
  sizes: {},
});
export const scale = defineShader({
  name: "scale",
  wgsl: [scaleWgsl, loadWgsl],
  dims: ["n", "vectors", "chunks", "step"],
  buffers: {
    dots: ["read", "chunks", "vectors"],
    basis: ["read_write", "vectors", "n"],
    tridiagonal: ["read_write", 2, "vectors"],
  },
  sizes: {},
});

/** Rows of the partial sums of a product with a symmetric matrix of order n, and the lanes that leave them. */
export function productParts(gpu: Gpu, n: number) {
  const widest = gpu.device.adapterInfo?.subgroupMaxSize || 32;
  const lanes = Math.min(32, Math.max(8, widest));
  const blocks = Math.ceil(n / 64);
  const strips = Math.ceil(n / 1024);
  return { lanes, blocks, strips, parts: blocks + lanes * strips };
}

/** Records steps of the Lanczos iteration: what they leave on the way, and α and β, stay on the device. */
export class LanczosStep {
  /** Row 0 α, row 1 β. */
  readonly tridiagonal: Matrix;
  readonly #gpu: Gpu;
  readonly #made: readonly Matrix[];
  readonly #buffers: Readonly<
    Record<"matrix" | "basis" | "partial" | "dots" | "weights" | "tridiagonal", Matrix>
  >;
  readonly #sizes: ReturnType<typeof productParts> &
    Readonly<Record<"n" | "vectors" | "chunks" | "scale", number>>;

  /** @param scale a power of two that the matrix is multiplied by */
  constructor(gpu: Gpu, matrix: Matrix, basis: Matrix, scale: number) {
    const [n, vectors, chunks] = [matrix.rows, basis.rows, Math.ceil(matrix.rows / 256)];
    this.#gpu = gpu;
    this.#sizes = { ...productParts(gpu, n), n, vectors, chunks, scale };
    const partial = gpu.matrix("lanczos product", this.#sizes.parts, n);
    const dots = gpu.matrix("lanczos inner products", chunks, vectors);
    const weights = gpu.matrix("lanczos weights", 1, vectors);
    const tridiagonal = gpu.matrix("lanczos T", 2, vectors);
    this.tridiagonal = tridiagonal;
    this.#made = [partial, dots, weights, tridiagonal];
    this.#buffers = { matrix, basis, partial, dots, weights, tridiagonal };
  }

  /** basis[step + 1] = A basis[step], orthogonal to all before, of length 1; α and β noted. */
  record(step: number): void {
    this.multiply(step);
    this.orthogonalize(step, 0);
  }

  /** basis[step + 1] = A basis[step]. */
  multiply(step: number): void {
    const { lanes, blocks, strips, parts, n } = this.#sizes;
    const call = { dims: { ...this.#sizes, step }, buffers: this.#buffers };
    const sizes = { LANES: lanes };
    multiply(this.#gpu, { ...call, groups: [strips, blocks], flops: 2 * n * n, sizes });
    gather(this.#gpu, { ...call, groups: [blocks], flops: parts * n });
  }

  /** Takes the components along rows 0 … step out of row step + 1, twice, and scales it to length 1. */
  orthogonalize(step: number, firstRound: number): void {
    const { n, chunks, blocks } = this.#sizes;
    const gpu = this.#gpu;
    const wide = Math.ceil((step + 1) / 64);
    const call = (round: number, first: number, last: number) => ({
      dims: { ...this.#sizes, step, round, first, last },
      buffers: this.#buffers,
      flops: 2 * n * (last - first + 1),
    });
    for (let round = firstRound; round < firstRound + 2; round++) {
      const all = call(round, 0, step);
      project(gpu, { ...all, groups: [wide, chunks] });
      collapse(gpu, { ...all, groups: [wide], flops: chunks * (step + 1) });
      subtract(gpu, { ...all, groups: [blocks] });
    }
    const itself = call(0, step + 1, step + 1);
    project(gpu, { ...itself, groups: [1, chunks] });
    scale(gpu, { ...itself, groups: [chunks] });
  }

  [dispose](): void {
    for (const matrix of this.#made) matrix.destroy();
  }
}
