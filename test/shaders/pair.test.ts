/** Kernels in pairs: leading directions taken out of a matrix, and what an adapter must keep for it. */
import { expect, test } from "vitest";
import {
  backward,
  forward,
  gram,
  gramPair,
  network,
  ntk,
  planGram,
  uploadWeights,
  weights,
  type Activations,
  type Matrix,
  type Network,
  type Signals,
} from "../../src/index.ts";
import { openGpu, type Gpu } from "../../src/node.ts";
import {
  deflate,
  errorFree,
  keepsPairs,
  lead,
  pairPlan,
  setKeepsPairs,
} from "../../src/stages/3-pair.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { Guarded, padded, report, sample } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

const SHAPES = shapes(
  { rows: 19, columns: 21 },
  {
    rows: around([16, 64], [37, 257, 1000]),
    columns: around([4, 16, 64, 256], [61, 241]),
  },
  16,
);

/** A matrix whose columns lean towards a common one: a column times 8 ± 1, and noise. */
function leaning(
  rows: number,
  columns: number,
  seed: number,
  scale = 1,
): Float32Array<ArrayBuffer> {
  const [common, noise] = [
    sample("normal", rows, seed),
    sample("normal", rows * columns, seed + 1),
  ];
  return noise.map(
    (value, at) => scale * (common[Math.floor(at / columns)] * (8 + ((at % columns) % 3)) + value),
  );
}

const SCALES = [1, 2 ** -40, 2 ** 40];

/** What `lead` gives of a matrix: directions [rows, 4], and how far they are from orthonormal [4, 4]. */
async function led(
  gpu: Gpu,
  rows: number,
  columns: number,
  values: Float32Array<ArrayBuffer>,
  LANES = 128,
) {
  using matrix = gpu.upload("matrix", rows, columns, values);
  using directions = new Guarded(gpu, "directions", rows, 4);
  using excess = new Guarded(gpu, "excess", 4, 4);
  const buffers = { matrix, directions: directions.matrix, excess: excess.matrix };
  const dims = { rows, columns, stride: Math.ceil(columns / 128) };
  lead(gpu, { dims, buffers, groups: [1], flops: 1, sizes: { LANES } });
  const c = await directions.read((row, column) => row < rows && column < 4);
  return { c, excess: await excess.read((row, column) => row < 4 && column < 4) };
}

gpuTest(
  "lead: directions of 11 bits, nearly orthonormal, and by how much they are not",
  async (gpu) => {
    const each = [8, 128].flatMap((lanes) =>
      SHAPES.map((shape, index) => ({ lanes, index, ...shape })),
    );
    for (const { lanes, index, rows, columns } of each) {
      const scale = SCALES[index % 3];
      const values = leaning(rows, columns, index, scale);
      const { c, excess } = await led(gpu, rows, columns, values, lanes);
      const label = `${rows} × ${columns}, ${lanes} lanes`;
      const q = 2 ** (Math.floor(Math.log2(Math.max(...c.map(Math.abs)))) + 1 - 11);
      for (const value of c) expect(Number.isInteger(value / q)).toBe(true);
      const exact = new Float64Array(16);
      for (let k = 0; k < rows; k++)
        for (let at = 0; at < 16; at++) exact[at] += c[4 * k + (at >> 2)] * c[4 * k + (at % 4)];
      const more = exact.map((value, at) => value - (at % 5 === 0 ? 1 : 0));
      assertWithin(
        excess,
        more,
        more.map((value) => UW * Math.abs(value)),
        `${label}: excess`,
      );
      const rank = Math.min(4, rows, columns);
      let found = 0;
      for (let at = 0; at < 16; at++) {
        const [t, s] = [at >> 2, at % 4];
        if (t === s) found += exact[at] > 0 ? 1 : 0;
        const one = t === s && exact[at] > 0 ? 1 : 0;
        if (!(Math.abs(exact[at] - one) <= 0.01))
          throw new Error(
            `${label}: moment [${t}, ${s}] is ${exact[at]}, but must be ${one} ± 0.01.`,
          );
      }
      expect(found).toBeGreaterThanOrEqual(1);
      expect(found).toBeLessThanOrEqual(rank);
    }
  },
);

gpuTest(
  "lead: nothing in a matrix of zeros, one direction where all columns are one",
  async (gpu) => {
    const [rows, columns] = [40, 30];
    const none = await led(gpu, rows, columns, new Float32Array(rows * columns));
    assertWithin(none.c, new Float64Array(4 * rows), 0, "zeros");
    const minusOne = Float64Array.from({ length: 16 }, (_, at) => (at % 5 === 0 ? -1 : 0));
    assertWithin(none.excess, minusOne, 0, "zeros: excess");
    const column = sample("normal", rows, 1);
    const same = Float32Array.from(
      { length: rows * columns },
      (_, at) => column[Math.floor(at / columns)],
    );
    const { c } = await led(gpu, rows, columns, same);
    for (let k = 0; k < rows; k++)
      for (let s = 1; s < 4; s++) expect(Math.abs(c[4 * k + s])).toBe(0);
  },
);

gpuTest(
  "deflate: C Q + B is the matrix, Q of 10 bits, B small, Y what lacks of its product",
  async (gpu) => {
    let worst = 0;
    for (const [index, { rows, columns }] of SHAPES.entries()) {
      const values = leaning(rows, columns, index, SCALES[index % 3]);
      const label = `${rows} × ${columns}`;
      using matrix = gpu.upload("matrix", rows, columns, values);
      using directions = gpu.matrix("directions", rows, 4);
      using excess = gpu.matrix("excess", 4, 4);
      using rest = new Guarded(gpu, "rest", rows, columns);
      using leading = new Guarded(gpu, "leading", columns, 8);
      const stride = Math.ceil(columns / 128);
      const buffers = { matrix, directions, excess };
      lead(gpu, { dims: { rows, columns, stride }, buffers, groups: [1], flops: 1 });
      const deflated = async (DOWN: number) => {
        deflate(gpu, {
          dims: { rows, columns },
          buffers: { ...buffers, rest: rest.matrix, leading: leading.matrix },
          groups: [Math.ceil(columns / 64)],
          flops: 1,
          sizes: { DOWN },
        });
        return [await rest.read(), await leading.read((_, column) => column < 8)];
      };
      const c = await gpu.read(directions);
      const [b, lead8] = await deflated(1);
      // A lane for each strand of rows, or one for all: they add in the same order.
      expect(await deflated(16)).toEqual([b, lead8]);
      const size = (all: ArrayLike<number>) =>
        Array.from(all, (value) => value * value).reduce((x, y) => x + y, 0);
      // The common column is at least 49 of 50 parts of each, and one direction holds it.
      if (rows > 4) expect(size(b)).toBeLessThanOrEqual(0.1 * size(values));
      const bounds = { q: 0, b: 0, y: 0 };
      const k = Math.ceil(rows / 16) + 24;
      for (let i = 0; i < columns; i++) {
        const [q, y] = [lead8.subarray(8 * i, 8 * i + 4), lead8.subarray(8 * i + 4, 8 * i + 8)];
        const [projected, projectedSize] = [new Float64Array(4), new Float64Array(4)];
        const [inner, innerSize] = [new Float64Array(4), new Float64Array(4)];
        const moments = new Float64Array(16);
        for (let at = 0; at < rows; at++) {
          const own = c.subarray(4 * at, 4 * at + 4);
          const [x, left] = [values[at * columns + i], b[at * columns + i]];
          const known = own.reduce((sum, value, s) => sum + value * q[s], 0);
          bounds.b = Math.max(bounds.b, ratio(Math.abs(left - (x - known)), UW * Math.abs(left)));
          for (let s = 0; s < 4; s++) {
            projected[s] += own[s] * x;
            projectedSize[s] += Math.abs(own[s] * x);
            inner[s] += own[s] * left;
            innerSize[s] += Math.abs(own[s] * left);
            for (let t = 0; t < 4; t++) moments[4 * s + t] += own[s] * own[t];
          }
        }
        const largest = Math.max(...q.map(Math.abs));
        // The grid's exponent is that of the largest before it was rounded, which may have been just below.
        const grid = largest > 0 ? 2 ** (Math.floor(Math.log2(largest)) + 1 - 10) : 0;
        for (let s = 0; s < 4; s++) {
          expect(Number.isInteger(grid > 0 ? (2 * q[s]) / grid : 0)).toBe(true);
          const allowed = grid / 2 + gamma(k, UW) * projectedSize[s];
          bounds.q = Math.max(bounds.q, ratio(Math.abs(q[s] - projected[s]), allowed));
          let [right, bound] = [inner[s], gamma(k, UW) * innerSize[s]];
          for (let t = 0; t < 4; t++) {
            const more = (moments[4 * s + t] - (s === t ? 1 : 0)) * q[t];
            right += more / 2;
            bound += (gamma(k, UW) * Math.abs(more)) / 2;
          }
          bounds.y = Math.max(bounds.y, ratio(Math.abs(y[s] - right), bound));
        }
      }
      for (const [what, value] of Object.entries(bounds)) {
        if (!(value <= 1)) throw new Error(`${label}: error ÷ bound of ${what} is ${value}.`);
        worst = Math.max(worst, value);
      }
    }
    report("deflate", gpu, worst);
  },
);

const ratio = (error: number, bound: number) => (error === 0 ? 0 : error / bound);

gpuTest("errorFree: sums to the last bit, and this adapter keeps them", async (gpu) => {
  for (const n of around([4, 16, 64, 256], [61])) {
    const a = sample("normal", n, n).map((value, i) => value * 2 ** (i % 20));
    const b = sample("normal", n, n + 1);
    using operands = gpu.upload("operands", 2, n, Float32Array.from([...a, ...b]));
    using out = new Guarded(gpu, "out", 2, n);
    const groups = [Math.ceil(padded(n) / 256)] as const;
    const buffers = { operands, out: out.matrix };
    errorFree(gpu, { dims: { n, zero: 0 }, buffers, groups, flops: 1 });
    const found = await out.read((row) => row < 2);
    for (let i = 0; i < n; i++) {
      expect(found[i] + found[n + i]).toBe(a[i] + b[i]);
      expect(found[i]).toBe(Math.fround(a[i] + b[i]));
    }
  }
  expect(await keepsPairs(gpu)).toBe(true);
});

/** Σ_l (c² A Aᵀ + β²) ∘ G Gᵀ in f64 of activations and signals as the device holds them, and the same of norms. */
async function kernelOf(gpu: Gpu, net: Network, acts: Activations, parts: readonly Signals[]) {
  const order = acts.n * parts[0].outputs;
  const [value, size] = [new Float64Array(order * order), new Float64Array(order * order)];
  const products = async (matrix: Matrix) => {
    const { rows, columns } = matrix;
    const x = await gpu.read(matrix);
    const out = new Float64Array(columns * columns);
    for (let k = 0; k < rows; k++)
      for (let i = 0; i < columns; i++)
        for (let j = 0; j < columns; j++)
          out[i * columns + j] += x[k * columns + i] * x[k * columns + j];
    return out;
  };
  for (const { index, scale, shift } of net.layers) {
    const a = await products(acts.a[index]);
    for (const { g, outputs } of parts) {
      const b = await products(g[index]);
      for (let i = 0; i < order; i++)
        for (let j = 0; j < order; j++) {
          const [s, t] = [i, j].map((row) => Math.floor(row / outputs));
          const at = i * order + j;
          const norm = Math.sqrt(a[s * acts.n + s] * a[t * acts.n + t]);
          const factor = scale * scale * a[s * acts.n + t] + shift * shift;
          value[at] += (factor * b[at]) / parts.length;
          size[at] +=
            ((scale * scale * norm + shift * shift) *
              Math.sqrt(b[i * order + i] * b[j * order + j])) /
            parts.length;
        }
    }
  }
  return { value, size };
}

const CASES = [
  { widths: [2, 100, 70, 1], activation: "tanh", n: 40, smooth: true, trace: false },
  { widths: [9, 60, 1], activation: "relu", n: 70, smooth: false, trace: false },
  { widths: [5, 33, 20, 3], activation: "gelu", n: 21, smooth: false, trace: false },
  { widths: [5, 33, 3], activation: "erf", n: 21, smooth: false, trace: true },
] as const;

for (const { widths, activation, n, smooth, trace } of CASES)
  gpuTest(
    `gramPair: ${activation} ${widths.join("-")}${trace ? ", trace" : ""} in its bound${smooth ? ", and far nearer than gram where samples are alike" : ""}`,
    async (gpu) => {
      const form = { parameterization: "ntk", weightScale: 1.2, biasScale: 0.2 } as const;
      const net = network({ ...form, widths, activation });
      const [d] = widths;
      const inputs = smooth
        ? Float32Array.from({ length: n * d }, (_, i) =>
            (i % 2 ? Math.sin : Math.cos)((Math.PI * (i >> 1)) / n),
          )
        : sample("normal", n * d, 3);
      using onDevice = uploadWeights(gpu, net, weights(net, 2));
      using acts = await forward(gpu, net, onDevice, inputs);
      const parts: Signals[] = [];
      for (let first = 0; first < (trace ? net.outputs : 1); first++)
        parts.push(
          await backward(gpu, net, onDevice, acts, {}, trace ? { first, count: 1 } : undefined),
        );
      using pair = await gramPair(gpu, net, acts, parts);
      const [high, low] = [await gpu.read(pair.high), await gpu.read(pair.low)];
      const found = Float64Array.from(high, (value, at) => value + low[at]);
      const { value, size } = await kernelOf(gpu, net, acts, parts);
      const k = 64 + 16 + Math.ceil(Math.max(...widths) / 1024) + 4;
      const bound = size.map((each) => 6 * gamma(k, UW) * each);
      const { worst } = assertWithin(found, value, bound, "pair");
      report(`gramPair ${activation}`, gpu, worst);
      for (let i = 0; i < pair.high.rows; i++)
        for (let j = 0; j < i; j++)
          expect(found[i * pair.high.rows + j]).toBe(found[j * pair.high.rows + i]);
      if (smooth) {
        using plain = await gram(gpu, net, onDevice, acts, null, { method: "layerwise" });
        const off = (values: ArrayLike<number>) =>
          Math.hypot(...value.map((right, at) => right - values[at]));
        expect(off(found)).toBeLessThanOrEqual(off(await gpu.read(plain)) / 10);
      }
      parts.forEach((part) => part.destroy());
    },
  );

gpuTest("where an adapter keeps no pairs, compensated is verified, and says so", async (gpu) => {
  const net = network({
    ...{ widths: [2, 8, 1], activation: "tanh", parameterization: "ntk" },
    ...{ weightScale: 1, biasScale: 0.1 },
  } as const);
  const inputs = sample("normal", 12, 1);
  setKeepsPairs(gpu, false);
  try {
    const { spectrum } = await ntk(gpu, net, weights(net, 1), inputs);
    expect(spectrum.precision).toBe("verified");
    expect(spectrum.boundKind).toBe("guaranteed");
  } finally {
    setKeepsPairs(gpu, null);
  }
  const { spectrum } = await ntk(gpu, net, weights(net, 1), inputs);
  expect(spectrum.precision).toBe("compensated");
});

test("memory on the device stays within the plan, and the plan is not twice that", async () => {
  const spec = {
    activation: "tanh",
    parameterization: "ntk",
    weightScale: 1,
    biasScale: 0.1,
  } as const;
  for (const [widths, n, method] of [
    [[40, 200, 150, 1], 500, "layerwise"],
    [[300, 100, 3], 120, "layerwise"],
    [[30, 60, 1], 500, "layerwise"],
  ] as const) {
    using gpu = await openGpu();
    const net = network({ ...spec, widths });
    const planned = pairPlan(net, n, planGram(gpu, net, n, 0, { method })).bytes;
    await ntk(gpu, net, weights(net, 1), sample("normal", n * widths[0], 2), {
      method,
      top: 1,
      bottom: 1,
    });
    const { peakBytes } = gpu.stats();
    expect(peakBytes).toBeLessThanOrEqual(planned);
    expect(planned).toBeLessThan(2 * peakBytes + 40 * 2 ** 20);
  }
});
