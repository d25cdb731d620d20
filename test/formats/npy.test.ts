import { zipSync } from "fflate";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { InputError } from "../../src/errors.ts";
import { npyHeader, npyLength, readNpy, writeNpy } from "../../src/formats/npy.ts";
import { readNpz } from "../../src/formats/npz.ts";
import { flatten, roundToF32 } from "../../src/formats/table.ts";

const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** An npy file by hand. */
function npy(descr: string, shape: string, payload: ArrayLike<number>, fortran = "False") {
  return file(`{'descr': ${descr}, 'fortran_order': ${fortran}, 'shape': ${shape}, }\n`, payload);
}

function file(header: string, payload: ArrayLike<number> = [], version = 1) {
  const size = version === 1 ? [header.length & 255, header.length >> 8] : [header.length, 0, 0, 0];
  return Uint8Array.from([
    ...latin1("\x93NUMPY"),
    version,
    0,
    ...size,
    ...latin1(header),
    ...Array.from(payload),
  ]);
}

const bytesOf = (array: ArrayBufferView) =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const TYPES = [
  ["f4", new Float32Array([1.5, -0, 3.4e38])],
  ["f8", new Float64Array([1.5, -0, 1e300])],
  ["i1", new Int8Array([-128, 0, 127])],
  ["i2", new Int16Array([-32768, 0, 32767])],
  ["i4", new Int32Array([-(2 ** 31), 0, 2 ** 31 - 1])],
  ["u1", new Uint8Array([0, 1, 255])],
  ["u2", new Uint16Array([0, 1, 65535])],
  ["u4", new Uint32Array([0, 1, 2 ** 32 - 1])],
] as const;

test.each(TYPES)("npy: %s is read exactly in both byte orders", (type, values) => {
  expect(readNpy(npy(`'<${type}'`, "(3,)", bytesOf(values)), "a.npy")).toEqual({
    shape: [3],
    data: values,
  });
  const size = values.BYTES_PER_ELEMENT;
  const big = Array.from(
    bytesOf(values),
    (_, i, all = bytesOf(values)) => all[i - (i % size) + size - 1 - (i % size)],
  );
  expect(readNpy(npy(`'>${type}'`, "(3,)", big), "a.npy").data).toEqual(values);
});

test("npy: every f2 value is exact, subnormals, zeros, infinities and NaN among them", () => {
  const words = Uint16Array.of(
    0x3c00,
    0xc000,
    0x7bff,
    0x0400,
    0x0001,
    0x83ff,
    0x8000,
    0x7c00,
    0x7e00,
  );
  const { data } = readNpy(npy("'<f2'", "(9,)", bytesOf(words)), "a.npy");
  expect(data).toEqual(
    Float32Array.of(1, -2, 65504, 2 ** -14, 2 ** -24, -1023 * 2 ** -24, -0, Infinity, NaN),
  );
});

test("npy: 64-bit integers become f64 exactly, and beyond 2⁵³ are refused with their index", () => {
  const limit = BigInt64Array.of(-(2n ** 53n), 7n, 2n ** 53n);
  expect(readNpy(npy("'<i8'", "(3,)", bytesOf(limit)), "a.npy").data).toEqual(
    Float64Array.of(-(2 ** 53), 7, 2 ** 53),
  );
  const beyond = BigUint64Array.of(0n, 2n ** 53n + 1n);
  expect(() => readNpy(npy("'<u8'", "(2,)", bytesOf(beyond)), "a.npy")).toThrow(
    "a.npy: element 1 is 9007199254740993, but integers must lie within ±2⁵³",
  );
});

test("npy: Fortran order is read as the same table as C order", () => {
  const data = Uint8Array.from({ length: 24 }, (_, i) => i);
  const permuted = new Uint8Array(24);
  for (let i = 0; i < 2; i++)
    for (let j = 0; j < 3; j++)
      for (let k = 0; k < 4; k++) permuted[i + 2 * j + 6 * k] = data[12 * i + 4 * j + k];
  expect(readNpy(npy("'|u1'", "(2, 3, 4)", permuted, "True"), "a.npy")).toEqual({
    shape: [2, 3, 4],
    data,
  });
});

test("npy: versions 1, 2 and 3, any key order, either quote, no axis and no element are read", () => {
  const header = `{"shape": (), "fortran_order": False, "descr": "<f4"}`;
  for (const version of [1, 2, 3])
    expect(readNpy(file(header, [0, 0, 128, 63], version), "a.npy")).toEqual({
      shape: [],
      data: Float32Array.of(1),
    });
  expect(readNpy(npy("'<f4'", "(0, 5)", []), "a.npy").shape).toEqual([0, 5]);
});

test("npy: a file at an odd byte offset of its buffer is read", () => {
  const whole = npy("'<f8'", "(1,)", bytesOf(Float64Array.of(Math.PI)));
  const shifted = new Uint8Array(whole.length + 3);
  shifted.set(whole, 3);
  expect(readNpy(shifted.subarray(3), "a.npy").data[0]).toBe(Math.PI);
});

const f4 = (shape: string, bytes: number) => npy("'<f4'", shape, new Uint8Array(bytes));

test.each([
  ["another magic", latin1("PK\x03\x04 and more bytes"), "does not begin with \\x93NUMPY"],
  ["an empty file", new Uint8Array(0), "ends within its header after 0 bytes"],
  ["a cut header", f4("(2,)", 8).subarray(0, 40), "ends within its header after 40 bytes"],
  ["version 4", file("{}", [], 4), "is npy version 4.0"],
  [
    "a giant header",
    Uint8Array.from([...latin1("\x93NUMPY"), 2, 0, 0, 0, 0, 255, 1]),
    "4278190080 bytes",
  ],
  [
    "missing elements",
    f4("(2, 3)", 23),
    "holds 23 bytes of elements, but shape [2, 3] of f4 must have 24",
  ],
  ["trailing bytes", f4("(2, 3)", 25), "The file is too long"],
  ["a shape beyond the file", f4("(4294967296, 4294967296)", 4), "must have 73786976294838210000"],
  ["a shape beyond 2⁵³", f4("(99999999999999999999,)", 4), "each axis must be from 0 to 2⁵³ − 1"],
  ["a product of NaN", f4(`(${"9007199254740991, ".repeat(20)}0)`, 0), "must have NaN"],
  ["a negative shape", f4("(-1,)", 4), 'shape "(-1,)", but each axis must be from 0'],
  ["a shape that is no tuple", f4("(3)", 12), "must be a tuple of integers"],
  ["a fractional shape", f4("(1.5,)", 4), "must be a tuple of integers"],
  ["code as shape", f4("(len(dir()),)", 4), "must be plain names and values"],
  ["code as header", file("__import__('os').system('true')"), "it must be a dictionary"],
  ["code as type", npy("__import__('os')", "(1,)", [0]), "must be plain names and values"],
  ["objects", npy("'|O'", "(1,)", [0]), `elements of type "'|O'", but they must be one of f2 f4`],
  ["booleans", npy("'|b1'", "(1,)", [0]), `np.save(file, x.astype("f4"))`],
  ["complex numbers", npy("'<c8'", "(1,)", new Uint8Array(8)), "elements of type"],
  ["records", npy("[('a', '<f4')]", "(1,)", new Uint8Array(4)), "elements of type"],
  [
    "a byte order that np.save never writes",
    npy("'|f4'", "(1,)", [0, 0, 0, 0]),
    "elements of type",
  ],
  ["a missing key", file("{'descr': '<f4', 'shape': (1,)}"), "header keys descr, shape, but they"],
  [
    "an extra key",
    file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}"),
    "header keys",
  ],
  ["a key twice", file("{'descr': '<f4', 'descr': '<f8', 'shape': (1,)}"), "names descr twice"],
  ["no key", file("{}"), "header keys (none)"],
  [
    "an order that is no truth value",
    npy("'<f4'", "(1,)", [0, 0, 0, 0], "1"),
    "must be True or False",
  ],
])("npy: %s is refused by name", (_, bytes, message) => {
  expect(() => readNpy(bytes, "a.npy")).toThrow(InputError);
  expect(() => readNpy(bytes, "a.npy")).toThrow(/^a\.npy: .* must.*\. .*\.$/s);
  expect(() => readNpy(bytes, "a.npy")).toThrow(message);
});

test("npy: what is written is read back to the bit, and its length is what the header demands", () => {
  for (const data of [
    Float32Array.of(1, NaN, -0, 1e-45, 5, 6),
    Float64Array.of(1, 2, 3, 4, 5, 1e-320),
  ])
    for (const shape of [[6], [2, 3], [1, 6, 1]]) {
      const bytes = writeNpy(shape, data);
      expect(readNpy(bytes, "a.npy")).toEqual({ shape, data });
      expect(npyLength(bytes.subarray(0, 128), "a.npy")).toBe(bytes.length);
    }
  expect(npyLength(writeNpy([1], Float32Array.of(1)).subarray(0, 60), "a.npy")).toBeNull();
  expect(() => writeNpy([2, 2], new Float32Array(3))).toThrow("must have 4");
});

test("npy: the header equals the one that np.save wrote in the golden files", () => {
  for (const [array, shape, type] of [
    ["W1", [512, 2], "f4"],
    ["b2", [1], "f4"],
    ["jac", [32, 1, 2049], "f8"],
  ] as const) {
    const golden = readFileSync(`test/golden/c1_circle_relu/${array}.npy`);
    const header = npyHeader(shape, type);
    expect(header).toEqual(new Uint8Array(golden.subarray(0, header.length)));
  }
});

test("npz: a member is found by name with and without .npy, stored and deflated", () => {
  const x = writeNpy([2], Float32Array.of(1, 2));
  const y = writeNpy([1], Float64Array.of(3));
  for (const level of [0, 9] as const) {
    const archive = zipSync({ "x.npy": x, "y.npy": y, "notes.txt": latin1("hi") }, { level });
    expect(readNpz(archive, "x", "a.npz").data).toEqual(Float32Array.of(1, 2));
    expect(readNpz(archive, "y.npy", "a.npz").data).toEqual(Float64Array.of(3));
    expect(() => readNpz(archive, undefined, "a.npz")).toThrow(
      "a.npz: holds 2 arrays (x, y), but one must be named. Write a.npz#x.",
    );
    expect(() => readNpz(archive, "z", "a.npz")).toThrow("It has x, y.");
  }
  expect(readNpz(zipSync({ "only.npy": y }), undefined, "a.npz").shape).toEqual([1]);
  expect(() => readNpz(zipSync({}), undefined, "a.npz")).toThrow(InputError);
});

/** Where the first central directory entry lies. */
const central = (zip: Uint8Array) => new DataView(zip.buffer).getUint32(zip.length - 6, true);

test("npz: a zip bomb is refused by its npy header before it unpacks", () => {
  const bomb = new Uint8Array(6_000_000);
  bomb.set(writeNpy([4], new Float32Array(4)));
  expect(() => readNpz(zipSync({ "x.npy": bomb }), undefined, "a.npz")).toThrow(
    "a.npz#x: is declared as 6000000 bytes unpacked, but its own header demands 144.",
  );
  const liar = zipSync({ "x.npy": bomb });
  new DataView(liar.buffer).setUint32(central(liar) + 24, 144, true);
  expect(() => readNpz(liar, undefined, "a.npz")).toThrow("but unpacks to more");
});

test.each([
  ["an encrypted member", 8, 1, "is encrypted"],
  ["another method", 10, 12, "packed by zip method 12"],
  ["a wrong checksum", 16, 0, "It is damaged"],
  ["a zip64 member", 24, 0xffffffff, "is a zip64 member"],
  ["a size beyond the file", 20, 99999, "but the archive ends after"],
  ["an offset into nowhere", 42, 7, "must begin at byte 7, but nothing does"],
])("npz: %s is refused by name", (_, field, value, message) => {
  const archive = zipSync({ "x.npy": writeNpy([2], Float32Array.of(1, 2)) });
  const view = new DataView(archive.buffer);
  if (field < 16) view.setUint16(central(archive) + field, value, true);
  else view.setUint32(central(archive) + field, value, true);
  expect(() => readNpz(archive, "x", "a.npz")).toThrow(InputError);
  expect(() => readNpz(archive, "x", "a.npz")).toThrow(message);
});

test("npz: every cut of an archive is refused, and no flipped bit of its data gives other numbers", () => {
  const archive = zipSync({ "x.npy": writeNpy([2], Float32Array.of(1, 2)) });
  for (let length = 0; length < archive.length; length++)
    expect(() => readNpz(archive.subarray(0, length), "x", "a.npz")).toThrow(InputError);
  const right = readNpz(archive, "x", "a.npz");
  for (let bit = 8 * 35; bit < 8 * central(archive); bit++) {
    const flipped = archive.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    let table = right; // deflate leaves some bits unused
    try {
      table = readNpz(flipped, "x", "a.npz");
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
    }
    expect(table).toEqual(right);
  }
});

test("flatten: the first axis is rows and the others are columns", () => {
  const table = (shape: number[]) => ({ shape, data: new Float32Array(0) });
  expect(flatten(table([5, 28, 28]))).toEqual({ rows: 5, columns: 784 });
  expect(flatten(table([5]))).toEqual({ rows: 5, columns: 1 });
  expect(() => flatten(table([]), "X")).toThrow("X: is one number without an axis");
});

test("roundToF32: rounds to nearest even, refuses overflow and non-finite values with the index", () => {
  const midpoint = 1 + 2 ** -24;
  expect(roundToF32(Float64Array.of(midpoint, -0), "f", "x")).toEqual(Float32Array.of(1, -0));
  expect(() => roundToF32(Float64Array.of(1, -1e39), "f", "x")).toThrow(
    "f: x is -1e+39 at index 1, but must be at most 3.4028235e38",
  );
  expect(() => roundToF32(Float32Array.of(1, NaN, -Infinity), "f", "x")).toThrow(
    "f: x holds 2 values that are NaN or infinite, the first at index 1",
  );
});
