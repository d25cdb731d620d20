import { expect, test } from "vitest";
import { defineShader } from "../../src/gpu/shader.ts";
import { InputError } from "../../src/node.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded } from "./guarded.ts";

const WGSL = `// double — twice the input.
struct Dims {
  n: u32, /* a comment, /* and one inside it, with a brace } */ still the outer one */
  factor: f32, // not a member: other: u32,
}

@group(0) @binding(0) var<storage, read> source: array<vec4f>;
// @group(0) @binding(7) var<storage, read> none: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> to: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;
/* override LATER: u32 = 1u; //* */ */
override LANES: u32 = 16u;

@compute @workgroup_size(LANES)
fn double(@builtin(global_invocation_id) id: vec3u) {
  if id.x < (dims.n + 3u) / 4u {
    to[id.x] = dims.factor * source[id.x];
  }
}
/* @compute @workgroup_size(1) fn other() {} */
`;

const define = (change: object = {}) =>
  defineShader({
    name: "double",
    wgsl: [WGSL],
    dims: ["n", "factor"] as const,
    buffers: { source: ["read", 1, "n"], to: ["read_write", 1, "n"] } as const,
    sizes: { LANES: 16 } as const,
    ...change,
  });

test("a table that says what the WGSL says is taken, nested comments left out", () => {
  expect(() => define()).not.toThrow();
});

test.each([
  [
    "entry name",
    { name: "twice" },
    "twice: the WGSL has the entry points [double], but its table says [twice].",
  ],
  [
    "order of dims",
    { dims: ["factor", "n"] },
    "double: the WGSL has the dims [n, factor], but its table says [factor, n].",
  ],
  [
    "missing dim",
    { dims: ["n"] },
    "double: the WGSL has the dims [n, factor], but its table says [n].",
  ],
  [
    "missing buffer",
    { buffers: { to: ["read_write", 1, "n"] } },
    "double: the WGSL has the buffers [source: read, to: read_write], but its table says [to: read_write].",
  ],
  [
    "wrong access",
    { buffers: { source: ["read_write", 1, "n"], to: ["read_write", 1, "n"] } },
    "double: the WGSL has the buffers [source: read, to: read_write], but its table says [source: read_write, to: read_write].",
  ],
  [
    "order of buffers",
    { buffers: { to: ["read_write", 1, "n"], source: ["read", 1, "n"] } },
    "double: the WGSL has the buffers [source: read, to: read_write], but its table says [to: read_write, source: read].",
  ],
  [
    "unknown override",
    { sizes: { LANES: 16, LATER: 1 } },
    "double: the WGSL has the override sizes [LANES], but its table says [LANES, LATER].",
  ],
  [
    "missing override",
    { sizes: {} },
    "double: the WGSL has the override sizes [LANES], but its table says [].",
  ],
  [
    "no uniform",
    { wgsl: [WGSL.replace(/^.*var<uniform>.*$/m, "")] },
    "double: the WGSL has uniforms [0], but its table says [1].",
  ],
])("a table with a wrong %s is refused without a device", (_, change, message) => {
  let error: unknown;
  try {
    define(change);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InputError);
  expect((error as Error).message).toBe(`${message} Make the two agree.`);
});

gpuTest(
  "a matrix of the wrong shape is refused with both shapes, before the device sees it",
  (gpu) => {
    const double = define();
    using source = gpu.matrix("weights", 1, 5);
    using to = gpu.matrix("result", 1, 6);
    const call = {
      dims: { n: 5, factor: 2 },
      buffers: { source, to },
      groups: [1],
      flops: 1,
    } as const;
    expect(() => double(gpu, call)).toThrow(
      new InputError(
        "double: to (result) is 1 × 6, but 1 × n = 1 × 5. Hand in a matrix of that shape.",
      ),
    );
    const transposed = { source: gpu.matrix("weights", 5, 1), to: source };
    expect(() => double(gpu, { ...call, buffers: transposed })).toThrow(
      new InputError(
        "double: source (weights) is 5 × 1, but 1 × n = 1 × 5. Hand in a matrix of that shape.",
      ),
    );
    transposed.source.destroy();
  },
);

gpuTest("a destroyed matrix is refused by its name", (gpu) => {
  const source = gpu.matrix("weights", 1, 5);
  using to = gpu.matrix("result", 1, 5);
  source.destroy();
  expect(() =>
    define()(gpu, { dims: { n: 5, factor: 2 }, buffers: { source, to }, groups: [1], flops: 1 }),
  ).toThrow("weights: the matrix was destroyed, but must be alive to be used.");
});

gpuTest("a shader whose comments nest runs as its table says, f32 dims as f32", async (gpu) => {
  using source = gpu.upload("from", 1, 5, Float32Array.of(1, 2, 3, 4, 5));
  using to = new Guarded(gpu, "to", 1, 5);
  define()(gpu, {
    dims: { n: 5, factor: 2.5 },
    buffers: { source, to: to.matrix },
    groups: [1],
    flops: 1,
    sizes: { LANES: 4 },
  });
  const values = await to.read((row, column) => row === 0 && column < 8);
  expect(Array.from(values)).toEqual([2.5, 5, 7.5, 10, 12.5]);
});
