import { gzipSync, zipSync } from "fflate";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputError, NonFiniteError } from "../../src/errors.ts";
import { readCsv } from "../../src/formats/csv.ts";
import { circle, sphere } from "../../src/formats/datasets.ts";
import { nodeFiles, writeAtomic } from "../../src/formats/files.ts";
import { readIdx } from "../../src/formats/idx.ts";
import { loadInputs, loadTargets, readTable } from "../../src/formats/inputs.ts";
import { writeNpy } from "../../src/formats/npy.ts";
import { normals64 } from "../../src/stages/0-normal.ts";

/** An IDX file by hand. */
const idx = (type: number, shape: number[], elements: number[]) =>
  Uint8Array.from([
    0,
    0,
    type,
    shape.length,
    ...shape.flatMap((n) => [0, 0, n >> 8, n & 255]),
    ...elements,
  ]);

test("idx: each element type is read big-endian", () => {
  expect(readIdx(idx(0x08, [2, 1], [7, 255]), "i")).toEqual({
    shape: [2, 1],
    data: Uint8Array.of(7, 255),
  });
  expect(readIdx(idx(0x09, [1], [255]), "i").data).toEqual(Int8Array.of(-1));
  expect(readIdx(idx(0x0b, [1], [255, 254]), "i").data).toEqual(Int16Array.of(-2));
  expect(readIdx(idx(0x0c, [1], [0, 0, 1, 2]), "i").data).toEqual(Int32Array.of(258));
  expect(readIdx(idx(0x0d, [1], [0x3f, 0x80, 0, 0]), "i").data).toEqual(Float32Array.of(1));
  expect(readIdx(idx(0x0e, [1], [0xc0, 0, 0, 0, 0, 0, 0, 0]), "i").data).toEqual(
    Float64Array.of(-2),
  );
});

test("idx: a gzipped file is the same table, with a name, a comment or extra fields in its header", () => {
  const plain = idx(
    0x08,
    [300, 300],
    Array.from({ length: 90000 }, (_, i) => (i * i) % 251),
  );
  const table = readIdx(plain, "i");
  const gz = [...gzipSync(plain)];
  for (const [flags, fields] of [
    [0, []],
    [1 + 4, [3, 0, 0, 9, 0]],
    [8, [97, 0]],
    [2 + 4 + 8 + 16, [1, 0, 9, 97, 0, 98, 0, 5, 5]],
  ] as [number, number[]][]) {
    const file = [...gz.slice(0, 3), flags, ...gz.slice(4, 10), ...fields, ...gz.slice(10)];
    expect(readIdx(Uint8Array.from(file), "i")).toEqual(table);
  }
});

const gzipped = gzipSync(idx(0x08, [2, 2], [1, 2, 3, 4]));
const patched = (bytes: Uint8Array, at: number, value: number) => {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
};

test.each([
  ["an empty file", new Uint8Array(0), "ends within its header"],
  ["a cut header", idx(0x08, [2, 2], []).subarray(0, 9), "ends within its header after 9 bytes"],
  [
    "another magic",
    Uint8Array.of(0, 0, 7, 1, 0, 0, 0, 0),
    "begins with 00 00 07 01, but an IDX file must",
  ],
  ["text", new TextEncoder().encode("1,2\n"), "begins with 31 2c 32 0a"],
  [
    "missing elements",
    idx(0x08, [2, 2], [1, 2, 3]),
    "holds 3 bytes of elements, but shape [2, 2] of u1 must have 4",
  ],
  ["trailing bytes", idx(0x08, [2, 2], [1, 2, 3, 4, 5]), "holds 5 bytes"],
  [
    "a huge shape",
    Uint8Array.from([0, 0, 8, 3, ...new Uint8Array(12).fill(255)]),
    "must have 7.922",
  ],
  ["a cut gzip file", gzipped.subarray(0, 15), "gzip file, but its header must be whole"],
  ["a gzip file with a wrong checksum", patched(gzipped, gzipped.length - 8, 99), "It is damaged"],
  ["a gzip file of another method", patched(gzipped, 2, 7), "ask for deflate"],
  ["a gzip file with a tail", Uint8Array.from([...gzipped, 0]), "Fetch or write it again"],
  [
    "a gzipped file cut short",
    gzipSync(idx(0x08, [9, 9], [1])),
    "declared as 13 bytes unpacked, but its own header demands 93",
  ],
  ["a gzip bomb", gzipSync(idx(0x08, [1], new Array(100000).fill(0))), "own header demands 9"],
  ["a gzipped text", gzipSync(new TextEncoder().encode("no idx")), "begins with 6e 6f 20 69"],
])("idx: %s is refused by name", (_, bytes, message) => {
  expect(() => readIdx(bytes, "i")).toThrow(InputError);
  expect(() => readIdx(bytes, "i")).toThrow(message);
});

test("csv: numbers are read with and without a header line, blanks, \\r\\n or a byte order mark", () => {
  const table = { shape: [2, 3], data: Float64Array.of(1, -2.5, 3e-4, 0.5, 5, 6) };
  expect(readCsv("1,-2.5,3e-4\n.5,5.,+6", "c")).toEqual(table);
  expect(readCsv('\ufeffx,"y",z\r\n1, -2.5,3E-4\r\n.5,5. ,6\r\n\r\n', "c")).toEqual(table);
});

test.each([
  ["an empty file", "", "c: holds no line of numbers"],
  ["a header alone", "x,y\n", "c: holds no line of numbers"],
  ["a ragged line", "1,2\n3\n", "c: line 2 has 1 cells, but must have 2 as line 1."],
  ["a blank line within", "1\n\n2\n", 'c: line 2, column 1 is ""'],
  ["an empty cell", "x,y\n1,2\n3,\n", 'c: line 3, column 2 is ""'],
  ["a word among numbers", "1,2\n3,four\n", 'c: line 2, column 2 is "four"'],
  ["a word in the first line", "1,2,x\n3,4,5\n", 'c: line 1, column 3 is "x"'],
  ["NaN", "1\nnan\n", 'c: line 2, column 1 is "nan"'],
  ["infinity", "1\nInfinity\n", 'column 1 is "Infinity"'],
  ["overflow", "1\n1e400\n", 'column 1 is "1e400", but must be a finite number'],
  ["hexadecimals", "1\n0x10\n", 'column 1 is "0x10"'],
  ["semicolons", "x;y\n1;2\n", 'line 2, column 1 is "1;2"'],
])("csv: %s is refused by line and column", (_, text, message) => {
  expect(() => readCsv(text, "c")).toThrow(InputError);
  expect(() => readCsv(text, "c")).toThrow(message);
});

/** Files that exist in memory alone; mnist from its package. */
const memory = (contents: Record<string, Uint8Array>) => ({
  ...nodeFiles,
  read: (path: string) =>
    path in contents
      ? Promise.resolve(contents[path])
      : Promise.reject(new InputError(`${path}: absent`)),
});
const X = writeNpy([2, 1, 2], Float64Array.of(3, 4, 0, 5e-200));
const files = memory({
  "X.npy": X,
  "X.npz": zipSync({ "x.npy": X, "y.npy": writeNpy([1, 2], Float64Array.of(7, 8)) }),
  "a#b.npy": X,
  "X.csv": new TextEncoder().encode("a,b\n3,4\n0,5e-200\n"),
  nameless: X,
  "train-images-idx3-ubyte": idx(0x08, [2, 2], [0, 51, 255, 1]),
  "train.gz": gzipSync(idx(0x08, [2, 2], [0, 51, 255, 1])),
  "signed.idx": idx(0x09, [1, 1], [255]),
  bytes: writeNpy([1, 2], Float32Array.of(255, 51)),
  "zero.npy": writeNpy([2, 2], Float64Array.of(1, 0, 0, 0)),
  "columns.npy": writeNpy([3, 2], Float64Array.of(0.1, 1, 0.1, 2, 0.1, 6)),
  "others.npy": writeNpy([1, 2], Float64Array.of(9, 3)),
  "huge.npy": writeNpy([1, 2], Float64Array.of(1, 1e39)),
  "vast.npy": writeNpy([1, 2], Float64Array.of(1.2e308, 1.6e308)),
  "wide.npy": writeNpy([2, 2], Float64Array.of(1e300, 1e-300, 3e300, 3e-300)),
  "nan.npy": writeNpy([1, 2], Float64Array.of(NaN, 1e39)),
  "none.npy": writeNpy([0, 2], new Float64Array(0)),
  "flat.npy": writeNpy([2, 0], new Float64Array(0)),
  "one.npy": writeNpy([], Float64Array.of(1)),
  "y.npy": writeNpy([2], Float64Array.of(-1, 1)),
  "what.bin": new TextEncoder().encode("what is this"),
});
const valuesOf = async (spec: string, normalize?: "none" | "unit" | "sqrt-d" | "standard") =>
  (await loadInputs(spec, { normalize, files })).values;

test("inputs: a file is known by its extension or its first bytes, and further axes are flattened", async () => {
  const expected = Float32Array.of(3, 4, 0, 0);
  for (const spec of ["X.npy", "X.npz#x", "a#b.npy", "X.csv", "nameless"]) {
    const inputs = await loadInputs(spec, { files });
    expect(inputs).toMatchObject({ source: spec, n: 2, d: 2, labels: null, targets: null });
    expect(inputs.values).toEqual(expected);
  }
});

test("inputs: u8 of an IDX file is divided by 255, and nothing else is", async () => {
  const pixels = Float32Array.of(0, 51 / 255, 1, 1 / 255);
  expect(await valuesOf("train-images-idx3-ubyte")).toEqual(pixels);
  expect(await valuesOf("train.gz")).toEqual(pixels);
  expect(await valuesOf("signed.idx")).toEqual(Float32Array.of(-1));
  expect(await valuesOf("bytes")).toEqual(Float32Array.of(255, 51));
  expect((await readTable("train.gz", files)).data).toEqual(Uint8Array.of(0, 51, 255, 1));
});

test("inputs: unit and sqrt-d give rows that norm, though squares leave f64's range", async () => {
  expect(await valuesOf("X.npy", "unit")).toEqual(Float32Array.of(0.6, 0.8, 0, 1));
  expect(await valuesOf("vast.npy", "unit")).toEqual(Float32Array.of(0.6, 0.8));
  const rooted = await valuesOf("X.npy", "sqrt-d");
  expect(rooted).toEqual(Float32Array.of(0.6 * Math.SQRT2, 0.8 * Math.SQRT2, 0, Math.SQRT2));
  await expect(valuesOf("zero.npy", "unit")).rejects.toThrow("zero.npy: has only zeros in row 1");
});

test("inputs: standard uses population deviation, sends constant columns to 0, and goes by --inputs", async () => {
  const first = await loadInputs("columns.npy", { normalize: "standard", files });
  const deviation = Math.sqrt(14 / 3); // of 1, 2, 6 around 3
  expect(first.values).toEqual(
    Float32Array.of(0, -2 / deviation, 0, -1 / deviation, 0, 3 / deviation),
  );
  expect(await valuesOf("wide.npy", "standard")).toEqual(Float32Array.of(-1, -1, 1, 1));
  const other = await loadInputs("others.npy", { normalize: "standard", files, like: first });
  expect(other.values).toEqual(Float32Array.of(0, 0));
  await expect(loadInputs("signed.idx", { files, like: first })).rejects.toThrow(
    "signed.idx: has 1 features, but must have 2 as columns.npy",
  );
});

test.each([
  ["huge.npy", InputError, "huge.npy: inputs is 1e+39 at index 1"],
  [
    "nan.npy",
    NonFiniteError,
    "nan.npy: inputs holds 1 value that is NaN or infinite, the first at index 0",
  ],
  ["none.npy", InputError, "has shape [0, 2], but must have a sample"],
  ["flat.npy", InputError, "has shape [2, 0], but must have a sample and a feature"],
  ["one.npy", InputError, "is one number without an axis"],
  ["what.bin", InputError, "what.bin: is of no known kind, but must be .npy"],
  ["absent.npy", InputError, "absent"],
  ["X.npz", InputError, "holds 2 arrays (x, y)"],
  ["X.npz#z", InputError, "holds 0 arrays named z"],
  [
    "cirle:64",
    InputError,
    "cirle:64: is no built-in set, but must be a file or one of mnist:CLASSES:N",
  ],
  ["circle", InputError, "circle: is a built-in set, but must have the form circle:N"],
  ["circle:0", InputError, "circle:0: has N = 0, but it must be an integer from 1"],
  ["circle:1.5", InputError, "must have the form circle:N"],
  ["circle:-4", InputError, "must have the form circle:N"],
  ["circle:3,4", InputError, "has N = 3,4"],
  ["sphere:3:4", InputError, "must have the form sphere:D:N:SEED"],
  ["sphere:3:4:4294967296", InputError, "has SEED = 4294967296"],
  ["sphere:65536:65536:0", InputError, "must have at most 2²⁶"],
  ["mnist:0,0:4", InputError, "must be different digits"],
  ["mnist:10:4", InputError, "must be different digits"],
  [
    "mnist:5,0:20000",
    InputError,
    "asks for 10000 samples of class 5, but must ask for at most 5421",
  ],
])("inputs: %s is refused by name", async (spec, kind, message) => {
  const failure = loadInputs(spec, { files });
  await expect(failure).rejects.toThrow(kind);
  await expect(failure).rejects.toThrow(message);
});

test("circle: quarter turns are exact, opposite points are negatives and every point is right to 2⁻⁵¹", () => {
  expect(circle(4).data).toEqual(Float64Array.of(1, 0, 0, 1, -1, 0, 0, -1));
  expect(circle(8).data.subarray(2, 4)).toEqual(Float64Array.of(Math.SQRT1_2, Math.SQRT1_2));
  for (const count of [1, 2, 3, 5, 12, 64, 97, 1000]) {
    const { shape, data } = circle(count);
    expect(shape).toEqual([count, 2]);
    for (let i = 0; i < count; i++) {
      // Math.cos is right to 2⁻⁵², its argument 2πi/N to 2π · 2⁻⁵².
      const bound = 2 ** -51 + 9 * 2 ** -52;
      expect(Math.abs(data[2 * i] - Math.cos((2 * Math.PI * i) / count))).toBeLessThanOrEqual(
        bound,
      );
      expect(Math.abs(data[2 * i + 1] - Math.sin((2 * Math.PI * i) / count))).toBeLessThanOrEqual(
        bound,
      );
      if (count % 2 === 0) {
        const opposite = 2 * ((i + count / 2) % count);
        expect(0 - data[opposite]).toBe(data[2 * i]);
        expect(0 - data[opposite + 1]).toBe(data[2 * i + 1]);
      }
      if (i > 0) {
        expect(data[2 * (count - i)]).toBe(data[2 * i]);
        expect(0 - data[2 * (count - i) + 1]).toBe(data[2 * i + 1]);
      }
    }
  }
});

test("sphere: rows are the normal stream's, divided by their norm", async () => {
  const stream = normals64(5, 6);
  const { data } = sphere(3, 2, 5);
  for (let row = 0; row < 2; row++) {
    const [x, y, z] = stream.subarray(3 * row, 3 * row + 3);
    const norm = Math.sqrt(x * x + y * y + z * z);
    expect(data.subarray(3 * row, 3 * row + 3)).toEqual(
      Float64Array.of(x / norm, y / norm, z / norm),
    );
  }
  expect((await loadInputs("sphere:3:2:5", { files })).values).toEqual(Float32Array.from(data));
});

test("mnist: two classes come balanced, in file order, in [0, 1], with targets −1 and 1", async () => {
  const { n, d, values, labels, classes, targets } = await loadInputs("mnist:0,1:512", { files });
  expect([n, d, classes, targets!.outputs]).toEqual([512, 784, [0, 1], 1]);
  expect(labels!.filter((label) => label === 0).length).toBe(256);
  expect(labels!.filter((label) => label === 1).length).toBe(256);
  expect(values.every((value) => value >= 0 && value <= 1)).toBe(true);
  expect(targets!.values).toEqual(Float32Array.from(labels!, (label) => 2 * label - 1));
  // The file itself: each chosen image stands where its turn comes.
  const digits = (await nodeFiles.mnist("train-labels-idx1-ubyte")).subarray(8);
  const images = (await nodeFiles.mnist("train-images-idx3-ubyte")).subarray(16);
  const left = [256, 256];
  let row = 0;
  for (let i = 0; row < 512; i++) {
    if (!(left[digits[i]]-- > 0)) continue;
    const image = Float32Array.from(
      images.subarray(784 * i, 784 * i + 784),
      (pixel) => pixel / 255,
    );
    expect(values.subarray(784 * row, 784 * ++row)).toEqual(image);
  }
});

test("mnist: earlier classes take the remainder, three classes give one-hot targets, the first of two −1", async () => {
  const three = await loadInputs("mnist-test:7,2,1:8", { files });
  const counts = [7, 2, 1].map((digit) => three.labels!.filter((label) => label === digit).length);
  expect(counts).toEqual([3, 3, 2]);
  expect(three.targets!.outputs).toBe(3);
  three.labels!.forEach((label, i) => {
    const row = three.targets!.values.subarray(3 * i, 3 * i + 3);
    expect(row).toEqual(Float32Array.from([7, 2, 1], (digit) => (digit === label ? 1 : 0)));
  });
  const two = await loadTargets("mnist-test:1,0:6", 6, files);
  const { labels } = await loadInputs("mnist-test:1,0:6", { files });
  expect(two.values).toEqual(Float32Array.from(labels!, (label) => (label === 1 ? -1 : 1)));
});

test("targets: numbers come as they are, one row a sample", async () => {
  expect(await loadTargets("y.npy", 2, files)).toEqual({
    outputs: 1,
    values: Float32Array.of(-1, 1),
  });
  expect((await loadTargets("X.npy", 2, files)).outputs).toBe(2);
  expect((await loadTargets("train.gz", 2, files)).values).toEqual(Float32Array.of(0, 51, 255, 1));
  await expect(loadTargets("y.npy", 3, files)).rejects.toThrow(
    "y.npy: has 2 × 1 targets, but must have a row for each of 3 samples",
  );
});

test("golden inputs have the shape that their kernel was made of", async () => {
  for (const name of readdirSync("test/golden")) {
    const meta = JSON.parse(readFileSync(`test/golden/${name}/meta.json`, "utf8"));
    const { n, d } = await loadInputs(`test/golden/${name}/X.npy`, { files: nodeFiles });
    const kernel = await readTable(`test/golden/${name}/ntk.npy`, nodeFiles);
    expect([n, d]).toEqual([meta.N, meta.d]);
    expect(kernel.shape).toEqual(meta.O === 1 ? [n, n] : [n, n, meta.O, meta.O]);
  }
});

test("files: what is missing, a folder or in no folder is refused by name, and nothing is left behind", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ntk-"));
  try {
    await expect(nodeFiles.read(join(folder, "no.npy"))).rejects.toThrow(
      /no\.npy: .* does not exist/,
    );
    await expect(nodeFiles.read(folder)).rejects.toThrow(/is a folder/);
    await expect(nodeFiles.list(join(folder, "none"))).rejects.toThrow(InputError);
    await expect(writeAtomic(folder, [])).rejects.toThrow(InputError);
    await expect(writeAtomic(join(folder, "none", "x"), [])).rejects.toThrow(InputError);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("files: a failing write leaves the old file, a good one replaces it, through a link too", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ntk-"));
  const path = join(folder, "H.npy");
  try {
    writeFileSync(path, "old");
    const failing = (function* () {
      yield Uint8Array.of(1);
      throw new Error("no more");
    })();
    await expect(writeAtomic(path, failing)).rejects.toThrow("no more");
    expect(readFileSync(path, "utf8")).toBe("old");
    symlinkSync(path, join(folder, "link"));
    await writeAtomic(join(folder, "link"), [
      Uint8Array.of(1, 2),
      new Uint8Array(0),
      Uint8Array.of(3),
    ]);
    expect(await nodeFiles.read(path)).toEqual(Uint8Array.of(1, 2, 3));
    expect(readdirSync(folder).sort()).toEqual(["H.npy", "link"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
