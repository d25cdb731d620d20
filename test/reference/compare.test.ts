import { describe, expect, test } from "vitest";
import { assertWithin, gamma, U, UW } from "./compare.ts";
import { parseNpy } from "./npy.ts";

describe("assertWithin", () => {
  test("passes at the bound, and returns the largest error ÷ bound and where it is", () => {
    const actual = [1, 2.25, 3.5];
    expect(assertWithin(actual, [1, 2, 3], [0, 0.5, 0.5], "x")).toEqual({ worst: 1, index: 2 });
    expect(assertWithin([1], [1], 0, "x")).toEqual({ worst: 0, index: 0 });
    expect(assertWithin([], [], 1, "x")).toEqual({ worst: 0, index: -1 });
  });

  test("fails just beyond the bound, naming index, values, error ÷ bound and how many", () => {
    expect(() => assertWithin([0, 1.5, 3], [0, 1, 1], 0.25, "gram")).toThrow(
      "gram: [2] is 3, but must be 1 ± 0.25: error ÷ bound = 8.000; 2 of 3 out of bounds.",
    );
  });

  test("fails on NaN in any of its arguments, and on infinity", () => {
    expect(() => assertWithin([NaN], [1], 1e9, "x")).toThrow("[0] is NaN");
    expect(() => assertWithin([1], [NaN], 1e9, "x")).toThrow("must be NaN");
    expect(() => assertWithin([1], [1], NaN, "x")).toThrow("± NaN");
    expect(() => assertWithin([1], [1], [NaN], "x")).toThrow("± NaN");
    expect(() => assertWithin([Infinity], [Infinity], 1, "x")).toThrow("Infinity");
    expect(() => assertWithin([1e9, NaN], [0, 0], 1, "x")).toThrow("2 of 2");
  });

  test("fails on arrays too short or too long", () => {
    expect(() => assertWithin([1], [1, 2], 1, "x")).toThrow("1 values, but must be 2");
    expect(() => assertWithin([1, 2], [1], 1, "x")).toThrow("2 values, but must be 1");
    expect(() => assertWithin([1, 2], [1, 2], [1], "x")).toThrow("1 bounds, but must be 2");
  });
});

test("γ_k(u) = ku/(1 − ku), refused where ku ≥ 1", () => {
  expect(gamma(0, UW)).toBe(0);
  expect(gamma(2 ** 22, UW)).toBe(1);
  expect(UW).toBe(2 * U);
  expect(() => gamma(2 ** 23, UW)).toThrow(RangeError);
  expect(() => gamma(NaN, UW)).toThrow(RangeError);
});

describe("parseNpy", () => {
  const file = (header: string, body: Uint8Array) => {
    const padded = header.padEnd(117) + "\n";
    const magic = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, padded.length, 0];
    return Uint8Array.from([...magic, ...new TextEncoder().encode(padded), ...body]);
  };
  const body = new Uint8Array(Float64Array.of(1.5, -2).buffer);
  const header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }";

  test("reads f4 and f8 with their shape", () => {
    expect(parseNpy(file(header, body))).toEqual({ shape: [1, 2], data: Float64Array.of(1.5, -2) });
    const scalar = "{'descr': '<f4', 'fortran_order': False, 'shape': (), }";
    const four = new Uint8Array(Float32Array.of(0.25).buffer);
    expect(parseNpy(file(scalar, four))).toEqual({ shape: [], data: Float32Array.of(0.25) });
  });

  test("refuses other types, Fortran order, and too few or too many bytes", () => {
    expect(() => parseNpy(file(header.replace("<f8", "<i8"), body))).toThrow("unread header");
    expect(() => parseNpy(file(header.replace("False", "True"), body))).toThrow("unread header");
    expect(() => parseNpy(file(header, body.slice(1)))).toThrow("15 bytes, but must be 16");
    expect(() => parseNpy(file(header.replace("(1, 2)", "(1,)"), body))).toThrow("must be 8");
    expect(() => parseNpy(body)).toThrow("magic");
  });
});
