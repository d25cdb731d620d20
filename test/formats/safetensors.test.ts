import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { InputError, NonFiniteError } from "../../src/errors.ts";
import { nodeFiles } from "../../src/formats/files.ts";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { Table } from "../../src/formats/table.ts";
import { loadWeights, weightsFromArrays, weightsFromTensors } from "../../src/formats/weights.ts";

/** A safetensors file by hand: a header as it stands, then so many bytes. */
function file(header: unknown, elements: ArrayLike<number> = []) {
  const text = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const length = new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer);
  return Uint8Array.from([...length, ...text, ...Array.from(elements)]);
}

test("safetensors: F64, F32, F16 and BF16 are exact, in the order of their bytes", () => {
  const header = {
    __metadata__: { format: "pt" },
    d: { dtype: "BF16", shape: [2], data_offsets: [14, 18] },
    a: { dtype: "F64", shape: [], data_offsets: [0, 8] },
    c: { dtype: "F16", shape: [1, 1], data_offsets: [12, 14] },
    b: { dtype: "F32", shape: [1], data_offsets: [8, 12] },
  };
  const bytes = [
    ...new Uint8Array(Float64Array.of(Math.PI).buffer),
    ...new Uint8Array(Float32Array.of(-1.1).buffer),
    ...[0x00, 0xbe], // −1.5
    ...[0x80, 0x3f, 0x01, 0x00], // 1, and the least subnormal
  ];
  expect([...readSafetensors(file(header, bytes), "w")]).toEqual([
    ["a", { shape: [], data: Float64Array.of(Math.PI) }],
    ["b", { shape: [1], data: Float32Array.of(-1.1) }],
    ["c", { shape: [1, 1], data: Float32Array.of(-1.5) }],
    ["d", { shape: [2], data: Float32Array.of(1, 2 ** -133) }],
  ]);
});

test("safetensors: what is written is read back to the bit, with elements at a multiple of 8", () => {
  const tensors = new Map([
    ["layers.1.weight", { shape: [1, 2], data: Float32Array.of(1, -0) }],
    ["layers.0.weight", { shape: [3], data: Float32Array.of(NaN, 1e-45, 3e38) }],
    ['odd "name" é', { shape: [0], data: new Float32Array(0) }],
  ]);
  const bytes = writeSafetensors(tensors, { made: "by test" });
  expect([...readSafetensors(bytes, "w")]).toEqual([...tensors]);
  expect(new DataView(bytes.buffer).getUint32(0, true) % 8).toBe(0);
  expect(() =>
    writeSafetensors(new Map([["x", { shape: [2], data: new Float32Array(3) }]])),
  ).toThrow("x holds 3 values, but shape [2] must have 2");
});

const f32 = (shape: unknown, begin: unknown, end: unknown) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

test.each([
  ["an empty file", new Uint8Array(0), "has NaN bytes"],
  [
    "a header longer than the file",
    file("{}").subarray(0, 9),
    "header has 2 bytes, but the file has 9",
  ],
  ["a header of 2⁶⁴ − 1 bytes", new Uint8Array(16).fill(255, 0, 8), "18446744073709552000 bytes"],
  ["a header that is no JSON", file("{a: 1}"), "must be JSON"],
  ["a header that is no UTF-8", file("{}").fill(255, 8), "must be JSON"],
  ["a header that is a list", file("[]"), "must have an object as header"],
  ["a header that begins with a blank", file(" {}"), "must have an object as header"],
  ["a name twice", file('{"a":1,"a":1}'), 'names "a" twice'],
  ["a name twice, once escaped", file('{"a":1,"\\u0061":1}'), "twice"],
  ["a key twice", file('{"a":{"dtype":"F32","dtype":"F64"}}'), 'names "dtype" twice'],
  ["an entry that is no object", file({ a: 3 }), "has a of type undefined"],
  ["integers", file({ a: { ...f32([1], 0, 4), dtype: "I32" } }, [0, 0, 0, 0]), 'type "I32"'],
  ["a type named as a method", file({ a: { ...f32([], 0, 4), dtype: "toString" } }), "of type"],
  ["a negative axis", file({ a: f32([-1, -1], 0, 4) }, [0, 0, 0, 0]), "of shape [-1,-1]"],
  ["a fractional axis", file({ a: f32([1.5], 0, 4) }, [0, 0, 0, 0]), "of shape [1.5]"],
  ["no shape", file({ a: f32(null, 0, 4) }, [0, 0, 0, 0]), "of shape null"],
  ["text as offset", file({ a: f32([1], "0", 4) }, [0, 0, 0, 0]), "with data_offsets"],
  [
    "a wrong length",
    file({ a: f32([2], 0, 4) }, [0, 0, 0, 0]),
    "at bytes 0 to 4 of 4, but [2] of f4 must take 8",
  ],
  ["offsets beyond the file", file({ a: f32([2], 0, 8) }, [0, 0, 0, 0]), "at bytes 0 to 8 of 4"],
  ["backward offsets", file({ a: f32([1], 0, -4) }, [0, 0, 0, 0]), "with data_offsets"],
  ["a gap", file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, new Uint8Array(12)), "without gap"],
  [
    "an overlap",
    file({ a: f32([1], 0, 4), b: f32([1], 2, 6) }, new Uint8Array(6)),
    "without overlap",
  ],
  ["trailing bytes", file({ a: f32([1], 0, 4) }, new Uint8Array(5)), "has 5 bytes of elements"],
])("safetensors: %s is refused by name", (_, bytes, message) => {
  expect(() => readSafetensors(bytes, "w")).toThrow(InputError);
  expect(() => readSafetensors(bytes, "w")).toThrow(/^w: .*must.*\. .*\.$/s);
  expect(() => readSafetensors(bytes, "w")).toThrow(message);
});

/** Tensors whose every value is their place in the list. */
const tensors = (...list: [string, ...number[]][]) =>
  new Map<string, Table>(
    list.map(([name, ...shape], i) => [
      name,
      { shape, data: new Float64Array(shape.reduce((a, b) => a * b, 1)).fill(i) },
    ]),
  );
const order = (widths: number[], hasBias: boolean, map: Map<string, Table>) =>
  weightsFromTensors(widths, hasBias, map, "w").map(({ weight }) => weight[0]);

test("weights: layers.0.weight and its kin are taken by number, biases too", () => {
  const map = tensors(
    ["layers.0.bias", 3],
    ["layers.0.weight", 3, 2],
    ["layers.1.bias", 1],
    ["layers.1.weight", 1, 3],
  );
  expect(weightsFromTensors([2, 3, 1], true, map, "w")).toEqual([
    { weight: new Float32Array(6).fill(1), bias: new Float32Array(3).fill(0) },
    { weight: new Float32Array(3).fill(3), bias: new Float32Array(1).fill(2) },
  ]);
});

test("weights: the modules of an nn.Sequential come by number, 2 before 10, though the file sorts them as text", () => {
  const map = tensors(["0.weight", 2, 2], ["10.weight", 2, 2], ["2.weight", 2, 2]);
  expect(order([2, 2, 2, 2], false, map)).toEqual([0, 2, 1]);
  expect(order([2, 2, 2], false, tensors(["fc1.weight", 2, 2], ["fc2.weight", 2, 2]))).toEqual([
    0, 1,
  ]);
  expect(order([2, 3], false, tensors(["weight", 3, 2]))).toEqual([0]);
});

test("weights: names of different words come in the file's order when only that fits", () => {
  const map = tensors(["input.weight", 3, 2], ["hidden.weight", 3, 3], ["end.weight", 1, 3]);
  expect(order([2, 3, 3, 1], false, map)).toEqual([0, 1, 2]);
  const sorted = tensors(
    ["body.0.weight", 3, 2],
    ["body.10.weight", 3, 3],
    ["body.2.weight", 3, 3],
    ["head.weight", 1, 3],
  );
  expect(order([2, 3, 3, 3, 1], false, sorted)).toEqual([0, 2, 1, 3]);
});

test("weights: two orders that both fit are refused", () => {
  const map = tensors(["b.weight", 2, 2], ["a.weight", 2, 2]);
  expect(() => order([2, 2, 2], false, map)).toThrow(
    "holds layers b, a in this order, but sorted they fit too",
  );
});

test.each([
  [
    "a missing layer",
    tensors(["0.weight", 3, 2]),
    false,
    "w: has layers: 1, but widths [2, 3, 1] must have 2.",
  ],
  [
    "another shape",
    tensors(["0.weight", 2, 3], ["1.weight", 1, 3]),
    false,
    "holds 0.weight [2, 3], but layer 1 of widths [2, 3, 1] must have it as [3, 2].",
  ],
  [
    "a layer too many",
    tensors(["0.weight", 3, 2], ["1.weight", 1, 3], ["2.weight", 1, 1]),
    false,
    "holds 2.weight [1, 1], but widths [2, 3, 1] without biases must have nothing beyond 0.weight, 1.weight.",
  ],
  [
    "a bias where there is none",
    tensors(["0.bias", 3], ["0.weight", 3, 2], ["1.weight", 1, 3]),
    false,
    "holds 0.bias [3], but widths",
  ],
  [
    "no bias where there is one",
    tensors(["0.weight", 3, 2], ["1.weight", 1, 3]),
    true,
    "lacks 0.bias, but layer 1 of widths [2, 3, 1] must have it as [3].",
  ],
  [
    "a bias as column",
    tensors(["0.bias", 3, 1], ["0.weight", 3, 2], ["1.bias", 1], ["1.weight", 1, 3]),
    true,
    "holds 0.bias [3, 1]",
  ],
  [
    "another parameter",
    tensors(["0.weight", 3, 2], ["1.running_mean", 3]),
    false,
    "holds 1.running_mean [3], but every tensor must be",
  ],
  ["nothing", tensors(), false, "has layers: 0"],
])("weights: %s is refused by name and shape", (_, map, hasBias, message) => {
  expect(() => order([2, 3, 1], hasBias, map)).toThrow(InputError);
  expect(() => order([2, 3, 1], hasBias, map)).toThrow(message);
});

test("weights: overflow of f32 and non-finite values are refused with tensor and index", () => {
  const map = (value: number) =>
    new Map([["0.weight", { shape: [1, 2], data: Float64Array.of(1, value) }]]);
  expect(() => order([2, 1], false, map(1e39))).toThrow("w: 0.weight is 1e+39 at index 1");
  expect(() => order([2, 1], false, map(NaN))).toThrow(NonFiniteError);
  expect(() => order([2, 1], false, map(-Infinity))).toThrow(
    "w: 0.weight holds 1 value that is NaN or infinite, the first at index 1",
  );
});

test("weights: arrays W1, b1, … are taken by number and other names are ignored, but not W4 of three layers", () => {
  const arrays = tensors(["X", 7], ["W1", 3, 2], ["b1", 3], ["W2", 1, 3], ["b2", 1]);
  const [first, second] = weightsFromArrays([2, 3, 1], true, arrays, "folder");
  expect([first.weight[0], first.bias?.[0], second.weight[0], second.bias?.[0]]).toEqual([
    1, 2, 3, 4,
  ]);
  arrays.set("W4", arrays.get("W1")!);
  expect(() => weightsFromArrays([2, 3, 1], true, arrays, "folder")).toThrow("holds W4 [3, 2]");
  arrays.delete("W4");
  expect(() => weightsFromArrays([2, 3, 1], false, arrays, "folder")).toThrow(
    "holds b1 [3], b2 [1]",
  );
  expect(() => weightsFromArrays([2, 3, 3, 1], true, arrays, "folder")).toThrow(
    "holds W2 [1, 3], but layer 2",
  );
});

test("weights: each golden folder loads with the parameters that its kernel was made of", async () => {
  for (const folder of readdirSync("test/golden").map((name) => `test/golden/${name}`)) {
    const { widths, d, O, P } = JSON.parse(readFileSync(`${folder}/meta.json`, "utf8"));
    const layers = await loadWeights(folder, [d, ...widths, O], true, nodeFiles);
    expect(layers.reduce((sum, { weight, bias }) => sum + weight.length + bias!.length, 0)).toBe(P);
    const named = new Map<string, { shape: number[]; data: Float32Array }>();
    for (const [l, { weight, bias }] of layers.entries()) {
      const out = bias!.length;
      named.set(`layers.${l}.weight`, { shape: [out, weight.length / out], data: weight });
      named.set(`layers.${l}.bias`, { shape: [out], data: bias! });
    }
    const read = readSafetensors(writeSafetensors(named), "w");
    expect(weightsFromTensors([d, ...widths, O], true, read, "w")).toEqual(layers);
  }
  await expect(loadWeights("package.json", [2, 1], true, nodeFiles)).rejects.toThrow(
    "package.json: must be a .safetensors file or a folder of W1.npy, b1.npy, …, but is not",
  );
});
