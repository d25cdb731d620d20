/**
 * A small, strict reader for the golden cases: little-endian f4 and f8, C order; shares no code
 * with the engine's.
 */
import { readFileSync } from "node:fs";
import type { ActivationName } from "./activations.ts";
import type { ReferenceNetwork, ReferenceWeights } from "./network.ts";

export interface Npy {
  shape: number[];
  data: Float32Array | Float64Array;
}

/**
 * The array in `bytes`. @throws Error on anything but `<f4` or `<f8` in C order with exactly the
 * promised bytes
 */
export function parseNpy(bytes: Uint8Array): Npy {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const latin = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (latin(0, 6) !== "\x93NUMPY") throw new Error("parseNpy: no .npy magic at the start.");
  const major = bytes[6];
  if (major !== 1 && major !== 2)
    throw new Error(`parseNpy: version ${major}, but must be 1 or 2.`);
  const start = major === 1 ? 10 : 12;
  const end = start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = latin(start, end);
  const match =
    /^\{'descr': '<(f4|f8)', 'fortran_order': False, 'shape': \(((?:\d+, ?)*\d*)\), \} *\n$/.exec(
      header,
    );
  if (match === null) throw new Error(`parseNpy: unread header ${header}`);
  const shape = match[2].split(",").filter((word) => word.trim() !== "");
  const count = shape.reduce((product, extent) => product * Number(extent), 1);
  const size = match[1] === "f4" ? 4 : 8;
  if (bytes.length - end !== count * size) {
    throw new Error(`parseNpy: ${bytes.length - end} bytes, but must be ${count * size}.`);
  }
  const body = Uint8Array.from(bytes.subarray(end)).buffer;
  const data = size === 4 ? new Float32Array(body) : new Float64Array(body);
  return { shape: shape.map(Number), data };
}

export interface GoldenCase {
  net: ReferenceNetwork;
  weights: ReferenceWeights;
  /** [n, widths[0]] */
  inputs: Float32Array;
  n: number;
  outputs: number;
  params: number;
  /** f [n, O], f64. */
  out: Float64Array;
  /** H [n·O, n·O], index i·O + a, from the file's [n, n] or [n, n, O, O]. */
  ntk: Float64Array;
  /** Ascending, as in the file. */
  eig: Float64Array;
  /** J [n·O, p], where the case has it. */
  jac: Float64Array | null;
}

export const GOLDEN = ["c1_circle_relu", "c2_tanh_d2", "c3_relu_o3", "c6_gelu_deep5"] as const;

/** One of the cases in test/golden (made in f64 by PyTorch; weights and inputs exact in f32). */
export function golden(name: (typeof GOLDEN)[number]): GoldenCase {
  const file = (name_: string) => new URL(`../golden/${name}/${name_}`, import.meta.url);
  const array = (name_: string) => parseNpy(readFileSync(file(`${name_}.npy`)));
  const wide = (name_: string) => Float64Array.from(array(name_).data);
  const meta = JSON.parse(readFileSync(file("meta.json"), "utf8")) as {
    N: number;
    d: number;
    O: number;
    P: number;
    widths: number[];
    act: ActivationName;
    beta: number;
    has_jac: boolean;
  };
  const { N: n, O: outputs } = meta;
  const widths = [meta.d, ...meta.widths, outputs];
  const net: ReferenceNetwork = {
    widths,
    activation: meta.widths.map(() => meta.act),
    parameterization: "ntk",
    weightScale: 1,
    biasScale: meta.beta,
    fan: "in",
    negativeSlope: 0.01,
  };
  const weights = widths.slice(1).map((_, l) => ({
    weight: array(`W${l + 1}`).data,
    bias: array(`b${l + 1}`).data,
  }));
  const file4 = wide("ntk");
  const rows = n * outputs;
  const ntk = new Float64Array(rows * rows);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      for (let a = 0; a < outputs; a++)
        for (let b = 0; b < outputs; b++)
          ntk[(i * outputs + a) * rows + j * outputs + b] =
            file4[((i * n + j) * outputs + a) * outputs + b];
  return {
    net,
    weights,
    inputs: Float32Array.from(array("X").data),
    n,
    outputs,
    params: meta.P,
    out: wide("out"),
    ntk,
    eig: wide("eig"),
    jac: meta.has_jac ? wide("jac") : null,
  };
}
