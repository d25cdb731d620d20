/** The product by subgroup matrices where an adapter has none: loops stand in for them, in every shape. */
import { expect, test } from "vitest";
import { openGpu as openCore } from "../../src/index.ts";
import { openGpu } from "../../src/node.ts";
import { findAdapter } from "../../src/node/adapters.ts";
import type { KernelClass } from "../../src/gpu/options.ts";
import { FIXED_PLAN, setProductPlan, storeProduct } from "../../src/stages/0-product.ts";
import {
  matrixClass,
  subgroupMatrices,
  type MatrixShape,
} from "../../src/stages/0-subgroupMatrix.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { sums } from "../reference/product.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, report, sample } from "./guarded.ts";

/**
 * Matrices of operands as places in workgroup memory, those of results dealt out to a subgroup's lanes; f16 as f32, whose
 * pieces have no more bits than it. The zero that no compiler knows keeps them from unrolling loops.
 */
const STAND_IN = `
var<private> lane: u32;
var<private> lanes: u32;
fn multiplyAdd(left: u32, right: u32, sum: Result) -> Result {
  var m = sum;
  for (var n = dims.zero; lane + lanes * n < M * N; n++) {
    let i = (lane + lanes * n) / N;
    let j = (lane + lanes * n) % N;
    for (var k = 0u; k < K + dims.zero; k++) {
      m[n] += pieces[left + PITCH * k + i] * pieces[right + PITCH * k + j];
    }
  }
  return m;
}
fn storeResult(at: u32, result: Result) {
  var m = result;
  for (var n = dims.zero; lane + lanes * n < M * N; n++) {
    let i = (lane + lanes * n) / N;
    let j = (lane + lanes * n) % N;
    sums[at + 4u * N * i + j] = m[n];
  }
}
`;
const ADDS = "m[n] += pieces[left + PITCH * k + i] * pieces[right + PITCH * k + j];";

/** What stands for what; each must be there. */
const REPLACED: readonly (readonly [RegExp, string])[] = [
  [/enable f16;/, ""],
  [/enable chromium_experimental_subgroup_matrix;/, ""],
  [/subgroup_matrix_left<f16, K, M>/, "u32"],
  [/subgroup_matrix_right<f16, N, K>/, "u32"],
  [/subgroup_matrix_result<f32, N, M>/, "array<f32, M * N / 4u>"],
  [/array<f16, /g, "array<f32, "],
  [/\bf16\(/g, "quantizeToF16("],
  [/subgroupMatrixLoad<Left, col_major>\(&pieces, (.*), PITCH\)/g, "$1"],
  [/subgroupMatrixLoad<Right, row_major>\(&pieces, (.*), PITCH\)/g, "$1"],
  [/subgroupMatrixMultiplyAccumulate\(/g, "multiplyAdd("],
  [/subgroupMatrixStore<row_major>\(&sums, at, (.*), 4u \* N\)/g, "storeResult(at, $1)"],
  [
    /(?<=@builtin\(subgroup_id\) subgroup: u32,)/,
    "@builtin(subgroup_invocation_id) laneNow: u32, @builtin(subgroup_size) lanesNow: u32,",
  ],
  [/(?=let place = tileAt)/, "lane = laneNow; lanes = lanesNow; "],
];

function standIn(shape: MatrixShape): KernelClass {
  const real = matrixClass(shape);
  let text = [real.wgsl, STAND_IN].join("\n");
  for (const [from, to] of REPLACED) {
    expect(text).toMatch(from);
    text = text.replace(from, to);
  }
  return { ...real, wgsl: text };
}

const SHAPES: readonly MatrixShape[] = [
  { M: 4, N: 8, K: 8 },
  { M: 8, N: 16, K: 16 },
];

for (const shape of SHAPES)
  gpuTest(
    `productMatrix of ${Object.values(shape).join(" × ")}: sums within the bound`,
    async () => {
      const { M, N } = shape;
      const { adapter, hold } = await findAdapter();
      const most = (adapter.info as { subgroupMaxSize?: number }).subgroupMaxSize ?? 0;
      const classes = { productMatrix: standIn(shape) };
      using gpu = await openCore({ adapter, hold, classes });
      // Four subgroups, and lanes enough for every quad.
      const LANES = Math.max(4 * most, (M * N) / 2);
      if (
        most === 0 ||
        gpu.device.limits.maxComputeWorkgroupStorageSize < 64 * 4 * (M + N) * 3 + 64 * M * N
      )
        return;
      let worst = 0;
      for (const [depth, rows, columns] of [
        [1, 1, 1],
        [1, 61, 67],
        [17, 4 * M + 1, 4 * N - 1],
        [65, 11, 4 * N + 1],
        [130, 61, 67],
        [1100, 19, 21],
      ])
        // Terms of one size whose factors are of several, within what pieces hold and beyond.
        for (const step of [0, 5, 7, 16]) {
          const spread = (values: Float32Array, width: number, sign: number): Float32Array =>
            values.map(
              (value, at) => value * 2 ** (sign * step * ((Math.floor(at / width) % 5) - 2)),
            );
          const a = spread(sample("normal", depth * rows, 1), rows, 1);
          const b = spread(sample("normal", depth * columns, 2), columns, -1);
          const { sum, size } = sums(a, b, depth, rows, columns);
          using left = gpu.upload("left", depth, rows, a);
          using right = gpu.upload("right", depth, columns, b);
          using out = new Guarded(gpu, "out", rows, columns);
          setProductPlan(gpu, { class: "productMatrix", sizes: { LANES }, groups: 1 });
          await storeProduct(gpu, { buffers: { left, right, out: out.matrix } }, async () => {});
          // A product alone is rounded once; what the pieces leave out is far less.
          const k =
            depth === 1
              ? 1.01
              : 1 +
                Math.min(depth, 64) +
                Math.min(Math.ceil(depth / 64), 16) +
                Math.ceil(depth / 1024);
          const bound = size.map((each) => gamma(k, UW) * each);
          const label = `${depth} × ${rows} × ${columns}, step ${step}`;
          worst = Math.max(worst, assertWithin(await out.read(), sum, bound, label).worst);
        }
      report(`stand-in for ${Object.values(shape).join(" × ")}`, gpu, worst);
      const check = await classes.productMatrix.check!(gpu, (buffers) =>
        storeProduct(gpu, { buffers }, async () => {}),
      );
      expect(check).toBe("");
    },
  );

gpuTest("productMatrix: the search refuses matrices that add in less than f32", async () => {
  const { adapter, hold } = await findAdapter();
  const exact = standIn({ M: 8, N: 8, K: 8 });
  const shortened = exact.wgsl.replace(
    ADDS,
    ADDS.replace("+=", "= quantizeToF16(m[n] +").replace(";", ");"),
  );
  expect(shortened).not.toBe(exact.wgsl);
  const coarse = { ...exact, wgsl: shortened };
  using gpu = await openCore({ adapter, hold, classes: { productMatrix: coarse } });
  if (gpu.subgroupLanes === 0) return;
  setProductPlan(gpu, { class: "productMatrix", sizes: { LANES: 128 }, groups: 1 });
  const check = await coarse.check!(gpu, (buffers) =>
    storeProduct(gpu, { buffers }, async () => {}),
  );
  expect(check).toMatch(/^its sums of numbers of either sign are wrong by/);
  setProductPlan(gpu, FIXED_PLAN);
  expect(
    await coarse.check!(gpu, (buffers) => storeProduct(gpu, { buffers }, async () => {})),
  ).toBe("");
});

gpuTest(
  "openGpu: subgroup matrices are there where they are asked for, and nowhere else",
  async () => {
    const feature = "chromium-experimental-subgroup-matrix" as GPUFeatureName;
    using plain = await openGpu({ matrices: false });
    expect(plain.host.classes).not.toHaveProperty("productMatrix");
    expect(plain.device.features.has(feature)).toBe(false);
    using asking = await openGpu({ matrices: true });
    const { productMatrix } = asking.host.classes!;
    expect(asking.device.features.has(feature)).toBe(productMatrix !== undefined);
    if (!productMatrix) return;
    const [sizes] = productMatrix.plans!(asking.device);
    setProductPlan(asking, { class: "productMatrix", sizes, groups: 1 });
    const check = productMatrix.check!(asking, (buffers) =>
      storeProduct(asking, { buffers }, async () => {}),
    );
    expect(await check).toBe("");
  },
);

test("subgroupMatrices: the largest shape of f16 that adds in f32 and fits, or nothing", () => {
  const adapter = (
    configs: readonly (readonly [string, string, number, number, number])[],
    { subgroup = 32, memory = 32768, features = true } = {},
  ) =>
    ({
      info: {
        subgroupMaxSize: subgroup,
        subgroupMatrixConfigs: configs.map(([componentType, resultComponentType, M, N, K]) => ({
          ...{ componentType, resultComponentType, M, N, K },
        })),
      },
      limits: { maxComputeWorkgroupStorageSize: memory },
      features: { has: () => features },
    }) as unknown as GPUAdapter;
  const tile = (...given: Parameters<typeof adapter>) =>
    subgroupMatrices(adapter(...given)).classes.productMatrix?.tile({});
  const wide = ["f16", "f32", 16, 16, 16] as const;
  const small = ["f16", "f32", 8, 8, 8] as const;
  expect(tile([small, wide])).toEqual([64, 64]);
  expect(tile([small, wide], { memory: 16384 })).toEqual([32, 32]);
  expect(tile([wide], { subgroup: 8 })).toBeUndefined();
  expect(tile([small], { subgroup: 128 })).toBeUndefined();
  expect(tile([small], { features: false })).toBeUndefined();
  expect(tile([["f16", "f16", 8, 8, 8]])).toBeUndefined();
  expect(tile([["f32", "f32", 8, 8, 8]])).toBeUndefined();
  expect(tile([["f16", "f32", 16, 8, 16]])).toBeUndefined();
  expect(tile([["f16", "f32", 8, 8, 32]])).toBeUndefined();
  expect(subgroupMatrices(adapter([]))).toEqual({ classes: {} });
});
