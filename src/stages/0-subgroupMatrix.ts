import everyLaneWgsl from "../../shaders/fragments/everyLane.wgsl";
import piecesWgsl from "../../shaders/fragments/pieces.wgsl";
import pieceSumsWgsl from "../../shaders/fragments/pieceSums.wgsl";
import wholeWgsl from "../../shaders/fragments/whole.wgsl";
import matrixWgsl from "../../shaders/0-matrix/productMatrix.wgsl";
import matrixF32Wgsl from "../../shaders/0-matrix/productMatrixF32.wgsl";
import type { Gpu } from "../gpu/device.ts";
import type { KernelClass, Multiply } from "../gpu/options.ts";

/** Rows, columns and summed products of one multiplication of subgroup matrices. */
export interface MatrixShape {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What an adapter says of its subgroup matrices; experimental, so that no types of WebGPU know it. */
interface MatrixInfo {
  readonly subgroupMaxSize?: number;
  readonly subgroupMatrixConfigs?: Iterable<
    MatrixShape & { readonly componentType: string; readonly resultComponentType: string }
  >;
}

/** What both classes need of an adapter. */
const FEATURES = ["chromium-experimental-subgroup-matrix", "subgroups"];
/** Lanes that a workgroup may have on every device. */
const MOST_LANES = 256;

/** The classes; all add in f32. */
const KINDS = {
  /** Of f16 pieces. */
  productMatrix: {
    component: "f16",
    features: [...FEATURES, "shader-f16"],
    wgsl: [matrixWgsl, piecesWgsl, pieceSumsWgsl],
    /** Matrices along a side of a tile. */
    side: 4,
    /** Bytes of workgroup memory, as pieces.wgsl declares it. */
    shared: ({ M, N }: MatrixShape) =>
      2 * (3 * 16 * 4 * (M + N)) + 4 * (16 * M * N + 4 * (M + N) + 1),
  },
  productMatrixF32: {
    component: "f32",
    features: FEATURES,
    wgsl: [matrixF32Wgsl, wholeWgsl],
    side: 8,
    /** As whole.wgsl declares it. */
    shared: ({ M, N }: MatrixShape) => 4 * Math.max(16 * (8 * (M + N) + 4), 64 * M * N),
  },
} as const;

type Kind = keyof typeof KINDS;

/** A class for one shape of matrices: the sizes that its types need are constants of its text. */
export function matrixClass(kind: Kind, shape: MatrixShape): KernelClass {
  const { wgsl, side, features: needed } = KINDS[kind];
  const [main, ...parts] = wgsl;
  let own: string = main;
  for (const [name, value] of Object.entries(shape)) {
    const around = own.split(new RegExp(`(?<=const ${name} ?= ?)\\d+(?=u;)`));
    if (around.length !== 2)
      throw new Error(
        `${kind}: ${around.length - 1} lines say what ${name} is, but one must. Mend it.`,
      );
    own = around.join(String(value));
  }
  return {
    wgsl: [own, ...parts, everyLaneWgsl].join("\n"),
    sizes: { LANES: 128 },
    tile: () => [side * shape.M, side * shape.N],
    plans: ({ features, adapterInfo }) =>
      needed.every((feature) => features.has(feature))
        ? [{ LANES: 4 * (adapterInfo?.subgroupMaxSize ?? 32) }]
        : [],
    check: checkSums,
  };
}

/**
 * What to hand to `openGpu` for products by subgroup matrices: classes for the largest shapes that an adapter has for f16
 * and for f32, each adding in f32, and the features they need. Without such a shape there is nothing in it.
 *
 * Adapters list shapes only where their instance was made with Dawn's toggle `allow_unsafe_apis`.
 */
export function subgroupMatrices(adapter: GPUAdapter): {
  readonly classes: Readonly<Record<string, KernelClass>>;
  readonly features?: readonly string[];
} {
  const { subgroupMatrixConfigs = [], subgroupMaxSize = 32 } = adapter.info as MatrixInfo;
  const lanes = 4 * subgroupMaxSize;
  const classes: Record<string, KernelClass> = {};
  const wanted = new Set<string>();
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const { component, features, side, shared } = KINDS[kind];
    const [shape] = [...subgroupMatrixConfigs]
      .filter(
        ({ componentType, resultComponentType, M, N, K }) =>
          componentType === component &&
          resultComponentType === "f32" &&
          N % M === 0 &&
          16 % K === 0 &&
          // Two quads a lane.
          side * M * side * N <= 32 * lanes &&
          shared({ M, N, K }) <= adapter.limits.maxComputeWorkgroupStorageSize,
      )
      .sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K);
    const usable = lanes <= MOST_LANES && features.every((name) => adapter.features.has(name));
    if (!usable || !shape) continue;
    const { M, N, K } = shape;
    classes[kind] = matrixClass(kind, { M, N, K });
    features.forEach((name) => wanted.add(name));
  }
  return wanted.size > 0 ? { classes, features: [...wanted] } : { classes };
}

/** Numbers from −1 to 1 with all the bits of an f32, the same in every run. */
const value = (index: number): number => ((index * 2654435761) % 2 ** 32) / 2 ** 31 - 1;

/** Operands that a class is tried with, and whether their sums are exact; `tilt` leans one way in left, the other in right. */
const TRIALS: readonly {
  readonly name: string;
  readonly exact?: boolean;
  at(value: number, tilt: number): number;
}[] = [
  { name: "numbers of either sign", at: (value) => value },
  { name: "positive numbers", at: (value) => Math.abs(value) },
  { name: "numbers of several sizes", at: (value, tilt) => value * 2 ** (6 * tilt) },
  { name: "numbers of all sizes", at: (value, tilt) => value * 2 ** (16 * tilt) },
  // Their sums stay below 2²⁴.
  { name: "whole numbers", exact: true, at: (value) => Math.round(100 * value) },
];

/** Compares products with f64; what the header of the class says of its error must hold. */
async function checkSums(gpu: Gpu, multiply: Multiply): Promise<string> {
  const [depth, rows, columns] = [1100, 37, 70];
  // The roundings that every class's header counts.
  const roundings = 1 + 64 + 16 + 2;
  for (const { name, exact, at } of TRIALS) {
    const operand = (width: number, sign: number, first: number) =>
      Float32Array.from({ length: depth * width }, (_, index) =>
        at(value(index + first), sign * ((Math.floor(index / width) % 5) - 2)),
      );
    const a = operand(rows, 1, 0);
    const b = operand(columns, -1, a.length);
    using left = gpu.upload("left", depth, rows, a);
    using right = gpu.upload("right", depth, columns, b);
    using out = gpu.matrix("out", rows, columns);
    await multiply({ left, right, out });
    const found = await gpu.read(out);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        let [sum, size] = [0, 0];
        for (let k = 0; k < depth; k++) {
          const term = a[k * rows + i] * b[k * columns + j];
          sum += term;
          size += Math.abs(term);
        }
        const error = Math.abs(found[i * columns + j] - sum);
        if (!(error <= (exact ? 0 : roundings * 2 ** -23 * size)))
          return `its sums of ${name} are wrong by ${error.toExponential(1)}, more than the others'`;
      }
  }
  return "";
}
