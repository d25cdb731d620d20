import addWgsl from "../../shaders/fragments/add.wgsl";
import buffersWgsl from "../../shaders/fragments/buffers.wgsl";
import everyLaneWgsl from "../../shaders/fragments/everyLane.wgsl";
import handedWgsl from "../../shaders/fragments/handed.wgsl";
import loadWgsl from "../../shaders/fragments/load.wgsl";
import oneLaneWgsl from "../../shaders/fragments/oneLane.wgsl";
import operandsWgsl from "../../shaders/fragments/operands.wgsl";
import partialWgsl from "../../shaders/fragments/partial.wgsl";
import quadWgsl from "../../shaders/fragments/quad.wgsl";
import storeWgsl from "../../shaders/fragments/store.wgsl";
import broadcastWgsl from "../../shaders/0-matrix/productBroadcast.wgsl";
import collectWgsl from "../../shaders/0-matrix/productCollect.wgsl";
import registersWgsl from "../../shaders/0-matrix/productRegisters.wgsl";
import stagedWgsl from "../../shaders/0-matrix/productStaged.wgsl";
import stagedWideWgsl from "../../shaders/0-matrix/productStagedWide.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { matrixBytes, rounded, type Matrix, type Operand } from "../gpu/matrix.ts";
import type { KernelClass, Part } from "../gpu/options.ts";
import type { Meter } from "../gpu/queue.ts";
import { defineShader, type Binding, type Shader } from "../gpu/shader.ts";

const DIMS = [
  "depth",
  "leftColumns",
  "rightColumns",
  "rowOrigin",
  "columnOrigin",
  "rows",
  "columns",
  "triangle",
  "firstTile",
  "lastTile",
  "slabs",
  "slabRows",
  "outputs",
  "rowSamples",
  "samples",
  "zero",
  "scale",
  "shift",
  "scaleLow",
  "shiftLow",
] as const;
type Dim = (typeof DIMS)[number];

/** Sizes that a class may be made for; a class takes those that its WGSL declares. */
export interface ProductSizes {
  /** Lanes of a workgroup, each with four columns. */
  readonly LANES?: number;
  /** Lanes that every subgroup surely has: 4 or 8. */
  readonly SUBGROUP?: number;
}

const wide = ({ LANES = 16 }: ProductSizes): number => 4 * LANES;

/** The kernel classes of the product: each a file of its own, all adding in the same order. */
export const PRODUCT_CLASSES = {
  productRegisters: {
    wgsl: [registersWgsl, everyLaneWgsl].join("\n"),
    sizes: { LANES: 16 },
    tile: (sizes: ProductSizes) => [8, wide(sizes)],
  },
  productBroadcast: {
    wgsl: [broadcastWgsl, handedWgsl, oneLaneWgsl].join("\n"),
    sizes: { LANES: 16, SUBGROUP: 4 },
    tile: (sizes: ProductSizes) => [4 * (sizes.SUBGROUP ?? 4), wide(sizes)],
  },
  productStaged: { wgsl: [stagedWgsl, everyLaneWgsl].join("\n"), sizes: {}, tile: () => [64, 64] },
  productStagedWide: {
    wgsl: [stagedWideWgsl, everyLaneWgsl].join("\n"),
    sizes: {},
    tile: () => [64, 128],
  },
} as const satisfies Record<string, KernelClass>;

/** A class's name; hosts may lend others than these. */
export type ProductClass = keyof typeof PRODUCT_CLASSES | (string & {});

/** Which class computes products, and how. */
export interface ProductPlan {
  readonly class: ProductClass;
  readonly sizes: Readonly<Record<string, number>>;
  /** Workgroups that keep the adapter busy: with fewer tiles each slab of the summed axis has its own. */
  readonly groups: number;
}

/** What computes products where nothing was measured: the class that runs everywhere. */
export const FIXED_PLAN: ProductPlan = {
  class: "productRegisters",
  sizes: { LANES: 16 },
  groups: 1,
};

const plans = new WeakMap<object, ProductPlan>();

/** The plan that an engine's products follow: the one set last, else {@link FIXED_PLAN}. */
export const productPlan = (gpu: object): ProductPlan => plans.get(gpu) ?? FIXED_PLAN;

/** Has an engine's products follow a plan from now on; null goes back to {@link FIXED_PLAN}. */
export function setProductPlan(gpu: Gpu, plan: ProductPlan | null): void {
  if (plan) plans.set(gpu, plan);
  else plans.delete(gpu);
}

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
  /** Only this part of the result, which is then what the epilogue's matrices hold; default all of it. */
  readonly part?: Part;
  /** Whether each slab of the summed axis has workgroups of its own; default where tiles are too few. No bit depends on it. */
  readonly split?: boolean;
  readonly sizes?: Partial<Readonly<Record<S, number>>>;
}

/** Records a product in pieces short enough for one dispatch each; waits where the meter says so. */
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

/** Values along the summed axis that are added before a slab's sum is added to the others. */
export const SLAB = 1024;
/** The sums of all slabs take at most this much; where they would take more, there are tiles enough. */
const SUMS_BYTES = 32 * 2 ** 20;

type AnyShader = Shader<Dim, string, string>;

/** The classes that an engine has: everyone's, and what its host lent. */
export const productClasses = ({
  host,
}: Partial<Pick<Gpu, "host">>): Readonly<Record<string, KernelClass>> => ({
  ...PRODUCT_CLASSES,
  ...host?.classes,
});

/** Whether an engine's products copy their operands first. */
export const laysOut = (gpu: Partial<Pick<Gpu, "host">>): boolean =>
  !!productClasses(gpu)[productPlan(gpu).class].lay;

/** Every class joined with one epilogue, and the second pass for slabs. */
function joined(epilogue: Epilogue<string, string>) {
  const shader = (
    name: string,
    { wgsl, sizes, lay }: Pick<KernelClass, "wgsl" | "sizes" | "lay">,
    [leftColumns, rightColumns]: readonly Dim[] = ["leftColumns", "rightColumns"],
  ): AnyShader =>
    defineShader({
      name,
      wgsl: [wgsl, loadWgsl, lay ? "" : buffersWgsl, operandsWgsl, quadWgsl, ...epilogue.wgsl],
      dims: DIMS,
      buffers: {
        left: ["read", "depth", leftColumns],
        right: ["read", "depth", rightColumns],
        ...epilogue.buffers,
      },
      sizes: { ...epilogue.sizes, ...sizes } as Record<string, number>,
    });
  const made: Record<string, AnyShader> = {};
  const classed = (name: string, info: KernelClass): AnyShader =>
    (made[info.wgsl] ??= shader(name, info));
  for (const [name, info] of Object.entries(PRODUCT_CLASSES)) classed(name, info);
  return {
    classed,
    collect: shader(
      "productCollect",
      { wgsl: [collectWgsl, everyLaneWgsl].join("\n"), sizes: {} },
      ["columns", "columns"],
    ),
  };
}

/** Where each slab's sums go. */
const partial = joined({
  wgsl: [partialWgsl],
  buffers: { out: ["read_write", "slabRows", "columns"] },
  sizes: {},
}).classed;

/** A number as f32 and what that lacks. */
const halves = <N extends "scale" | "shift">(name: N, value: number) =>
  ({ [name]: Math.fround(value), [`${name}Low`]: value - Math.fround(value) }) as Record<
    N | `${N}Low`,
    number
  >;

const ceil = (size: number, step: number): number => Math.ceil(size / step);

/** Tiles of a result, in the order of `tileAt` in operands.wgsl. */
function tileCount(rows: number, columns: number, triangle: boolean, high: number, wide: number) {
  if (!triangle) return ceil(rounded(rows), high) * ceil(columns, wide);
  const across = ceil(rounded(rows), wide);
  return ((across * (across + 1)) / 2) * (wide / high);
}

/** Joins the product's classes with one epilogue: the call that runs whichever the engine's plan names. */
export function defineProduct<B extends string, S extends string>(
  epilogue: Epilogue<B, S>,
): Product<B, S> {
  const { classed, collect } = joined(epilogue);
  return async (gpu, call, meter) => {
    const plan = productPlan(gpu);
    const { buffers, triangle = false, outputs = 1 } = call;
    const { left, right } = buffers;
    const depth = left.rows;
    const part = call.part ?? { row: 0, column: 0, rows: left.columns, columns: right.columns };
    const { rows, columns } = part;
    const classes = productClasses(gpu);
    const { lay, otherwise } = classes[plan.class];
    const slabs = ceil(depth, SLAB);
    using laid = lay?.(gpu, left, right, part, Math.min(SLAB, depth));
    // Slab by slab, what tiles read of operands laid out stays in a processor's cache.
    const step = laid ? SLAB : depth;
    const name = (!laid && otherwise) || plan.class;
    const info = classes[name];
    const [high, wide] = info.tile(plan.sizes);
    const tiles = tileCount(rows, columns, triangle, high, wide);
    const few = tiles < plan.groups && slabs * matrixBytes(rows, columns) <= SUMS_BYTES;
    const parts = !laid && (call.split ?? few) ? slabs : 1;
    const slabRows = parts * rounded(rows);
    const dims = {
      leftColumns: left.columns,
      rightColumns: right.columns,
      rowOrigin: part.row,
      columnOrigin: part.column,
      rows,
      columns,
      triangle: triangle ? 1 : 0,
      slabRows,
      outputs,
      rowSamples: rows / outputs,
      samples: columns / outputs,
      zero: 0,
      ...halves("scale", call.scale ?? 1),
      ...halves("shift", call.shift ?? 0),
    };
    const own: Readonly<Record<string, number>> = { ...call.sizes };
    const run = async (
      shader: AnyShader,
      given: Readonly<Record<string, Operand>>,
      sizes: Readonly<Record<string, number>>,
    ) => {
      const { rows: depth } = given.left;
      const flops = 2 * high * wide * depth;
      // So many tiles run side by side, and take no longer than one.
      const some = Math.max(plan.groups, Math.floor(gpu.queue.dispatchFlops / flops));
      for (let firstTile = 0; firstTile < tiles; firstTile += some) {
        const lastTile = Math.min(tiles, firstTile + some);
        const down = ceil(lastTile - firstTile, gpu.limits.maxComputeWorkgroupsPerDimension);
        shader(gpu, {
          dims: { ...dims, depth, slabs: ceil(depth, SLAB) / parts, firstTile, lastTile },
          buffers: given,
          groups: [ceil(lastTile - firstTile, down), down, parts],
          flops: flops * (lastTile - firstTile),
          sizes: { ...plan.sizes, ...sizes },
        });
        await meter(flops * (lastTile - firstTile));
      }
    };
    if (parts < 2 && step >= depth)
      return await run(classed(name, info), { ...buffers, ...laid?.fill(0) }, own);
    using sums = gpu.matrix("sums of slabs", slabRows, columns);
    for (let first = 0; first < depth; first += step)
      await run(partial(name, info), { left, right, ...laid?.fill(first), out: sums }, {});
    collect(gpu, {
      dims: { ...dims, depth: slabRows, slabs: 0, firstTile: 0, lastTile: 0 },
      buffers: { ...buffers, left: sums, right: sums },
      groups: [ceil(rounded(columns), 64), rounded(rows)],
      flops: slabRows * columns,
      sizes: own,
    });
    await meter(slabRows * columns);
  };
}

/** out = scale · leftᵀ right + shift. */
export const storeProduct = defineProduct({
  wgsl: [storeWgsl],
  buffers: { out: ["read_write", "rows", "columns"] },
  sizes: {},
});

/** out += scale · leftᵀ right. */
export const add = defineProduct({
  wgsl: [addWgsl],
  buffers: { out: ["read_write", "rows", "columns"] },
  sizes: {},
});
