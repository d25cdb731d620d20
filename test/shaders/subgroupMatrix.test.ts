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

type Kind = Parameters<typeof matrixClass>[0];

/** What the text of a class calls things. */
interface Words {
  readonly component: string;
  /** Workgroup memory with operands, and with sums. */
  readonly operands: string;
  readonly sums: string;
  /** Values from a row of sums to the next. */
  readonly stride: string;
  /** Bytes of workgroup memory for a tile, where pieces are twice as large as in f16. */
  readonly bytes: (high: number, wide: number) => number;
}
const WORDS: Readonly<Record<Kind, Words>> = {
  productMatrix: {
    ...{ component: "f16", operands: "pieces", sums: "sums", stride: "4u * N" },
    bytes: (high, wide) => 3 * 64 * (high + wide) + 4 * (high * wide + high + wide + 1),
  },
  productMatrixF32: {
    ...{ component: "f32", operands: "staged", sums: "staged", stride: "8u * N" },
    bytes: (high, wide) => 4 * Math.max(16 * (high + wide + 4), high * wide),
  },
};

const addsOf = ({ operands }: Words) =>
  `m[n] += ${operands}[left + PITCH * k + i] * ${operands}[right + PITCH * k + j];`;

/**
 * Matrices of operands as places in workgroup memory, those of results dealt out to a subgroup's lanes; f16 as f32, whose
 * pieces have no more bits than it. The zero that no compiler knows keeps them from unrolling loops.
 */
const standsIn = (words: Words) => `
var<private> lane: u32;
var<private> lanes: u32;
fn multiplyAdd(left: u32, right: u32, sum: Result) -> Result {
  var m = sum;
  for (var n = dims.zero; lane + lanes * n < M * N; n++) {
    let i = (lane + lanes * n) / N;
    let j = (lane + lanes * n) % N;
    for (var k = 0u; k < K + dims.zero; k++) {
      ${addsOf(words)}
    }
  }
  return m;
}
fn storeResult(at: u32, result: Result) {
  var m = result;
  for (var n = dims.zero; lane + lanes * n < M * N; n++) {
    let i = (lane + lanes * n) / N;
    let j = (lane + lanes * n) % N;
    ${words.sums}[at + ${words.stride} * i + j] = m[n];
  }
}
`;

/** What stands for what; each must be there. */
function replaced({ component, operands, sums, stride }: Words): readonly [RegExp, string][] {
  const quoted = stride.replace("*", "\\*");
  return [
    [/enable chromium_experimental_subgroup_matrix;/, ""],
    [new RegExp(`subgroup_matrix_left<${component}, K, M>`), "u32"],
    [new RegExp(`subgroup_matrix_right<${component}, N, K>`), "u32"],
    [/subgroup_matrix_result<f32, N, M>/, "array<f32, M * N / 4u>"],
    [new RegExp(`subgroupMatrixLoad<Left, col_major>\\(&${operands}, (.*), PITCH\\)`, "g"), "$1"],
    [new RegExp(`subgroupMatrixLoad<Right, row_major>\\(&${operands}, (.*), PITCH\\)`, "g"), "$1"],
    [/subgroupMatrixMultiplyAccumulate\(/g, "multiplyAdd("],
    [
      new RegExp(`subgroupMatrixStore<row_major>\\(&${sums}, at, (.*), ${quoted}\\)`, "g"),
      "storeResult(at, $1)",
    ],
    [
      /(?<=@builtin\(subgroup_id\) subgroup: u32,)/,
      "@builtin(subgroup_invocation_id) laneNow: u32, @builtin(subgroup_size) lanesNow: u32,",
    ],
    [/(?=let place = tileAt)/, "lane = laneNow; lanes = lanesNow; "],
    ...(component === "f16"
      ? ([
          [/enable f16;/, ""],
          [/array<f16, /g, "array<f32, "],
          [/\bf16\(/g, "quantizeToF16("],
        ] as [RegExp, string][])
      : []),
  ];
}

function standIn(kind: Kind, shape: MatrixShape): KernelClass {
  const words = WORDS[kind];
  const real = matrixClass(kind, shape);
  let text = [real.wgsl, standsIn(words)].join("\n");
  for (const [from, to] of replaced(words)) {
    expect(text).toMatch(from);
    text = text.replace(from, to);
  }
  return { ...real, wgsl: text };
}

const SHAPES: readonly (readonly [Kind, MatrixShape])[] = [
  ["productMatrix", { M: 4, N: 8, K: 8 }],
  ["productMatrix", { M: 8, N: 16, K: 16 }],
  ["productMatrixF32", { M: 4, N: 8, K: 16 }],
  ["productMatrixF32", { M: 8, N: 8, K: 8 }],
];

for (const [kind, shape] of SHAPES)
  gpuTest(`${kind} of ${Object.values(shape).join(" × ")}: sums within the bound`, async () => {
    const { adapter, hold } = await findAdapter();
    const most = (adapter.info as { subgroupMaxSize?: number }).subgroupMaxSize ?? 0;
    const made = standIn(kind, shape);
    const classes = { [kind]: made };
    using gpu = await openCore({ adapter, hold, classes });
    const [high, wide] = made.tile({});
    // Four subgroups, and lanes enough for every quad.
    const LANES = Math.max(4 * most, (high * wide) / 32);
    const { maxComputeWorkgroupStorageSize } = gpu.device.limits;
    if (most === 0 || maxComputeWorkgroupStorageSize < WORDS[kind].bytes(high, wide)) return;
    let worst = 0;
    for (const [depth, rows, columns] of [
      [1, 1, 1],
      [1, 61, 67],
      [17, high + 1, wide - 1],
      [65, 11, wide + 1],
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
        setProductPlan(gpu, { class: kind, sizes: { LANES }, groups: 1 });
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
    report(`stand-in for ${kind} of ${Object.values(shape).join(" × ")}`, gpu, worst);
    const check = await made.check!(gpu, (buffers) =>
      storeProduct(gpu, { buffers }, async () => {}),
    );
    expect(check).toBe("");
  });

for (const kind of Object.keys(WORDS) as Kind[])
  gpuTest(`${kind}: the search refuses matrices that add in less than f32`, async () => {
    const { adapter, hold } = await findAdapter();
    const exact = standIn(kind, { M: 8, N: 8, K: 8 });
    const adds = addsOf(WORDS[kind]);
    const shortened = exact.wgsl.replace(
      adds,
      adds.replace("+=", "= quantizeToF16(m[n] +").replace(";", ");"),
    );
    expect(shortened).not.toBe(exact.wgsl);
    const coarse = { ...exact, wgsl: shortened };
    using gpu = await openCore({ adapter, hold, classes: { [kind]: coarse } });
    if (gpu.subgroupLanes === 0) return;
    setProductPlan(gpu, { class: kind, sizes: { LANES: 128 }, groups: 1 });
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
    using asking = await openGpu({ matrices: true });
    expect(plain.device.features.has(feature)).toBe(false);
    const lent = Object.entries(asking.host.classes!).filter(([name]) => name in WORDS);
    expect(asking.device.features.has(feature)).toBe(lent.length > 0);
    for (const [name, info] of lent) {
      expect(plain.host.classes).not.toHaveProperty(name);
      const [sizes] = info.plans!(asking.device);
      setProductPlan(asking, { class: name, sizes, groups: 1 });
      const check = info.check!(asking, (buffers) =>
        storeProduct(asking, { buffers }, async () => {}),
      );
      expect(await check).toBe("");
    }
  },
);

test("subgroupMatrices: the largest shapes that add in f32 and fit, or nothing", () => {
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
  const tileF32 = (...given: Parameters<typeof adapter>) =>
    subgroupMatrices(adapter(...given)).classes.productMatrixF32?.tile({});
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
  const whole = ["f32", "f32", 8, 8, 8] as const;
  expect(tileF32([whole])).toEqual([64, 64]);
  expect(tileF32([whole], { memory: 16384 })).toEqual([64, 64]);
  expect(tileF32([whole], { memory: 16383 })).toBeUndefined();
  // Eight quads a lane would be too many.
  expect(tileF32([["f32", "f32", 16, 16, 16]], { memory: 65536 })).toBeUndefined();
  expect(tileF32([["f32", "f16", 8, 8, 8]])).toBeUndefined();
  expect(tileF32([small])).toBeUndefined();
  // What Metal lists: f32, and f16 that adds in f16.
  const metal = subgroupMatrices(adapter([whole, ["f16", "f16", 8, 8, 8]]));
  expect(Object.keys(metal.classes)).toEqual(["productMatrixF32"]);
  expect(metal.features).not.toContain("shader-f16");
  const both = subgroupMatrices(adapter([whole, small]));
  expect(Object.keys(both.classes)).toEqual(["productMatrix", "productMatrixF32"]);
  expect(both.features).toContain("shader-f16");
});
