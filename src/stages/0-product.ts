import loadWgsl from "../../shaders/fragments/load.wgsl";
import storeWgsl from "../../shaders/fragments/store.wgsl";
import productWgsl from "../../shaders/0-matrix/product.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { ALIGN, type Matrix } from "../gpu/matrix.ts";
import type { Meter } from "../gpu/queue.ts";
import { defineShader, type Binding } from "../gpu/shader.ts";

const DIMS = [
  "depth",
  "rows",
  "columns",
  "firstRow",
  "triangle",
  "outputs",
  "rowSamples",
  "samples",
  "scale",
  "shift",
] as const;
type Dim = (typeof DIMS)[number];

const LANES = 16;
/** Rows of the result that one lane computes. */
const TILE = 8;

/** What an epilogue adds to the product's table: fragments, buffers after `left` and `right`, `override` constants. */
export interface Epilogue<B extends string, S extends string> {
  readonly wgsl: readonly string[];
  readonly buffers: Readonly<Record<B, Binding<Dim>>>;
  readonly sizes: Readonly<Record<S, number>>;
}

/** One product: operands, what the epilogue needs, and which part of the result is wanted. */
export interface ProductCall<B extends string, S extends string> {
  /** [depth, rows] and [depth, columns] are multiplied to [rows, columns]. */
  readonly buffers: Readonly<Record<B | "left" | "right", Matrix>>;
  readonly scale?: number;
  readonly shift?: number;
  /** Outputs that lie side by side for each sample; default 1. */
  readonly outputs?: number;
  /** Only tiles that touch the lower triangle; for a symmetric result. */
  readonly triangle?: boolean;
  readonly sizes?: Partial<Readonly<Record<S, number>>>;
}

/** Records a product in strips of rows short enough for one dispatch each; waits where the meter says so. */
export type Product<B extends string, S extends string> = (
  gpu: Gpu,
  call: ProductCall<B, S>,
  meter: Meter,
) => Promise<void>;

/** Floating-point operations of a product. */
export const productFlops = (
  depth: number,
  rows: number,
  columns: number,
  triangle = false,
): number => depth * rows * columns * (triangle ? 1 : 2);

/** Joins the product with one epilogue to one shader. */
export function defineProduct<B extends string, S extends string>(
  epilogue: Epilogue<B, S>,
): Product<B, S> {
  const shader = defineShader<Dim, B | "left" | "right", S | "LANES">({
    name: "product",
    wgsl: [productWgsl, loadWgsl, ...epilogue.wgsl],
    dims: DIMS,
    buffers: {
      left: ["read", "depth", "rows"],
      right: ["read", "depth", "columns"],
      ...epilogue.buffers,
    } as Record<B | "left" | "right", Binding<Dim>>,
    sizes: { ...epilogue.sizes, LANES } as Record<S | "LANES", number>,
  });
  return async (gpu, call, meter) => {
    const { rows: depth, columns: rows } = call.buffers.left;
    const { columns } = call.buffers.right;
    const outputs = call.outputs ?? 1;
    const flops = productFlops(depth, ALIGN, columns, call.triangle);
    const height = Math.max(1, Math.floor(gpu.queue.dispatchFlops / flops)) * ALIGN;
    const padded = Math.ceil(rows / ALIGN) * ALIGN;
    for (let firstRow = 0; firstRow < padded; firstRow += height) {
      const count = Math.min(height, padded - firstRow);
      shader(gpu, {
        dims: {
          depth,
          rows,
          columns,
          firstRow,
          triangle: call.triangle ? 1 : 0,
          outputs,
          rowSamples: rows / outputs,
          samples: columns / outputs,
          scale: call.scale ?? 1,
          shift: call.shift ?? 0,
        },
        buffers: call.buffers,
        groups: [Math.ceil(columns / (4 * LANES)), count / TILE],
        flops: (flops * count) / ALIGN,
        sizes: call.sizes as Partial<Record<S | "LANES", number>>,
      });
      await meter((flops * count) / ALIGN);
    }
  };
}

/** out = scale · leftᵀ right + shift. */
export const storeProduct = defineProduct({
  wgsl: [storeWgsl],
  buffers: { out: ["read_write", "rows", "columns"] },
  sizes: {},
});
