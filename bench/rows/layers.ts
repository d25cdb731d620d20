import { activationError } from "../../src/stages/0-activation.ts";
import { activate } from "../../src/stages/1-forward.ts";
import { mask } from "../../src/stages/2-backward.ts";
import { phi, phiPrime } from "../../test/reference/activations.ts";
import { uniform } from "../random.ts";
import type { Row } from "../run.ts";
import { bytesOf, onDevice } from "./operands.ts";
import { classOf } from "./products.ts";
import { chain, gamma, quotient, worse } from "./verify.ts";

const meter = async () => {};

type Phi = "relu" | "gelu";
const SIZES = { relu: { ACTIVATION: 0, SLOPE: 0 }, gelu: { ACTIVATION: 4, SLOPE: 0 } };
const FAN = 784;
const UNITS = 512;
/** Factor of the sums, so that they are of the size of 1. */
const SCALE = 1 / 16;

/** One layer forward and one backward, with a cheap φ and a dear one. */
export const layerRows: readonly Row[] = (["relu", "gelu"] as const).flatMap((name) =>
  [256, 1024].flatMap((n) => [forwardRow(name, n), backwardRow(name, n)]),
);

/** z = scale · W a + b and φ(z): `product` with the epilogue `activate`. */
function forwardRow(name: Phi, n: number): Row {
  return {
    name: `product activate ${name}`,
    size: { n, fan: FAN, units: UNITS },
    flops: 2 * n * FAN * UNITS,
    bytes: bytesOf(FAN, UNITS) + bytesOf(FAN, n) + 2 * bytesOf(UNITS, n),
    traffic: "read",
    async make(gpu) {
      const kernel = await classOf(gpu);
      const own = onDevice(gpu);
      const values = { left: uniform(FAN * UNITS, 3), right: uniform(FAN * n, 4) };
      const shifts = uniform(UNITS, 5);
      const left = own.upload("left", FAN, UNITS, values.left);
      const right = own.upload("right", FAN, n, values.right);
      const bias = own.upload("bias", 1, UNITS, shifts);
      const [z, a] = [own.matrix("z", UNITS, n), own.matrix("a", UNITS, n)];
      const run = () =>
        activate(
          gpu,
          {
            buffers: { left, right, bias, z, a },
            ...{ scale: SCALE, shift: 1, sizes: SIZES[name] },
          },
          meter,
        );
      return {
        ...kernel,
        run,
        destroy: own.destroy,
        async check() {
          await run();
          const [zs, as] = [await gpu.read(z), await gpu.read(a)];
          const one = entry(values, FAN, UNITS, n);
          let worst = 0;
          for (const [h, i] of places(UNITS, n)) {
            const { sum, size } = one(h, i);
            const exact = SCALE * sum + shifts[h];
            const bound = gamma(chain(FAN)) * (SCALE * size + Math.abs(shifts[h]));
            const at = h * n + i;
            worst = worse(worst, quotient(zs[at] - exact, bound));
            worst = worse(worst, ofPhi(name, as[at], zs[at]));
          }
          return worst;
        },
      };
    },
  };
}

/** (scale · Wᵀ g) ∘ φ′(z): `product` with the epilogue `mask`. */
function backwardRow(name: Phi, n: number): Row {
  return {
    name: `product mask ${name}`,
    size: { n, units: UNITS, below: FAN },
    flops: 2 * n * FAN * UNITS,
    bytes: bytesOf(FAN, UNITS) + bytesOf(UNITS, n) + 2 * bytesOf(FAN, n),
    traffic: "read",
    async make(gpu) {
      const kernel = await classOf(gpu);
      const own = onDevice(gpu);
      const values = { left: uniform(UNITS * FAN, 6), right: uniform(UNITS * n, 7) };
      const below = uniform(FAN * n, 8);
      const left = own.upload("left", UNITS, FAN, values.left);
      const right = own.upload("right", UNITS, n, values.right);
      const z = own.upload("z", FAN, n, below);
      const out = own.matrix("out", FAN, n);
      const run = () =>
        mask(gpu, { buffers: { left, right, z, out }, scale: SCALE, sizes: SIZES[name] }, meter);
      return {
        ...kernel,
        run,
        destroy: own.destroy,
        async check() {
          await run();
          const found = await gpu.read(out);
          const one = entry(values, UNITS, FAN, n);
          let worst = 0;
          for (const [h, i] of places(FAN, n)) {
            const { sum, size } = one(h, i);
            const at = h * n + i;
            const slope = phiPrime(name, 0, below[at]);
            const off = activationError(name, 0, below[at]).derivative;
            const bound =
              gamma(chain(UNITS)) * SCALE * size * (Math.abs(slope) + off) + SCALE * size * off;
            worst = worse(worst, quotient(found[at] - SCALE * sum * slope, bound));
          }
          return worst;
        },
      };
    },
  };
}

/** Error ÷ bound of φ at the z that the device itself stored. */
const ofPhi = (name: Phi, actual: number, z: number): number =>
  quotient(actual - phi(name, 0, z), activationError(name, 0, z).value);

/** Places all over a matrix, its corners among them. */
function places(rows: number, columns: number): [number, number][] {
  const count = 4000;
  const next = uniform(2 * count, 9);
  const at = (value: number, size: number) =>
    Math.min(size - 1, Math.floor(((value + 1) / 2) * size));
  const corners: [number, number][] = [
    [0, 0],
    [0, columns - 1],
    [rows - 1, 0],
    [rows - 1, columns - 1],
  ];
  const others = Array.from({ length: count }, (_, i): [number, number] => [
    at(next[2 * i], rows),
    at(next[2 * i + 1], columns),
  ]);
  return [...corners, ...others];
}

/** One entry of leftᵀ right in f64, with the sum of its terms' sizes. */
const entry =
  (
    { left, right }: { left: Float32Array; right: Float32Array },
    depth: number,
    rows: number,
    columns: number,
  ) =>
  (i: number, j: number): { sum: number; size: number } => {
    let [sum, size] = [0, 0];
    for (let k = 0; k < depth; k++) {
      const term = left[k * rows + i] * right[k * columns + j];
      sum += term;
      size += Math.abs(term);
    }
    return { sum, size };
  };
