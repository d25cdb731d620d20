/** Slices: the leading bits of a matrix, and products of them that no rounding touches. */
import { expect, test } from "vitest";
import { add, storeProduct } from "../../src/stages/0-product.ts";
import { network, ntk, planGram, weights } from "../../src/index.ts";
import { openGpu } from "../../src/node.ts";
import {
  errorFree,
  keepsPairs,
  pairPlan,
  peaks,
  setKeepsPairs,
  slice,
  sliceBits,
} from "../../src/stages/3-pair.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma, OMEGA, UW } from "../reference/compare.ts";
import { Guarded, KINDS, padded, sample } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

const SHAPES = shapes(
  { rows: 19, columns: 21 },
  {
    rows: around([16, 64], [37, 257, 1000]),
    columns: around([4, 16, 64, 256], [61, 241]),
  },
  16,
);
const free = async () => {};

gpuTest("peaks: the largest size in each column, to the bit", async (gpu) => {
  for (const { rows, columns } of SHAPES) {
    const values = sample("normal", rows * columns, rows);
    using matrix = gpu.upload("matrix", rows, columns, values);
    using peak = new Guarded(gpu, "peak", 1, columns);
    const groups = [Math.ceil(padded(columns) / 4 / 64)] as const;
    const buffers = { matrix, peak: peak.matrix };
    peaks(gpu, { dims: { rows, columns }, buffers, groups, flops: 1 });
    const right = Float64Array.from({ length: columns }, (_, s) => {
      let largest = 0;
      for (let k = 0; k < rows; k++) largest = Math.max(largest, Math.abs(values[k * columns + s]));
      return largest;
    });
    // A vector's padding rows are never read: only row 0 is written.
    assertWithin(await peak.read((row) => row === 0), right, 0, `${rows} × ${columns}`);
  }
});

gpuTest(
  "slice: leading bits on one grid a column, and exactly the rest; products of the first are exact",
  async (gpu) => {
    for (const [index, { rows, columns }] of SHAPES.entries())
      for (const kind of KINDS) {
        const scale = 2 ** [0, -40, 55, -119][index % 4];
        // Columns of very different sizes, the sixth of zeros.
        const values = sample(kind, rows * columns, index).map((value, at) =>
          at % columns === 5 ? 0 : value * scale * 2 ** -((at % columns) % 7),
        );
        const bits = sliceBits(rows);
        using matrix = gpu.upload("matrix", rows, columns, values);
        using peak = gpu.matrix("peak", 1, columns);
        using top = new Guarded(gpu, "top", rows, columns);
        using rest = new Guarded(gpu, "rest", rows, columns);
        const across = Math.ceil(padded(columns) / 4 / 64);
        peaks(gpu, {
          dims: { rows, columns },
          buffers: { matrix, peak },
          groups: [across],
          flops: 1,
        });
        slice(gpu, {
          dims: { rows, columns, bits },
          buffers: { matrix, peak, top: top.matrix, rest: rest.matrix },
          groups: [across, padded(rows)],
          flops: 1,
        });
        const [t, r] = [await top.read(), await rest.read()];
        const label = `${kind} ${rows} × ${columns}`;
        const sizes = new Float64Array(columns);
        values.forEach((value, at) => {
          sizes[at % columns] = Math.max(sizes[at % columns], Math.abs(value));
        });
        for (let k = 0; k < rows; k++)
          for (let s = 0; s < columns; s++) {
            const at = k * columns + s;
            const value = values[at];
            const q = 2 ** (Math.floor(Math.log2(sizes[s] || 1)) + 1 - bits);
            if (Math.abs(t[at] + r[at] - value) > (scale < 2 ** -100 ? OMEGA : 0))
              throw new Error(
                `${label}: [${k}, ${s}] is ${t[at]} + ${r[at]}, but must be ${value}`,
              );
            if (q >= 2 ** -126)
              expect(Number.isInteger(t[at] / q) && Math.abs(t[at] / q) <= 2 ** bits).toBe(true);
            expect(Math.abs(r[at])).toBeLessThanOrEqual(q >= 2 ** -126 ? 0.5 * q : Math.abs(value));
          }
        if (index % 4 > 1) continue;
        using product = new Guarded(gpu, "product", columns, columns);
        const buffers = { left: top.matrix, right: top.matrix, out: product.matrix };
        await storeProduct(gpu, { buffers }, free);
        const exact = new Float64Array(columns * columns);
        for (let k = 0; k < rows; k++)
          for (let i = 0; i < columns; i++)
            for (let j = 0; j < columns; j++)
              exact[i * columns + j] += t[k * columns + i] * t[k * columns + j];
        assertWithin(await product.read(), exact, 0, label);
      }
  },
);

gpuTest(
  "the three products of slices together are the product, to the bits of a slice",
  async (gpu) => {
    const [rows, columns] = [300, 20];
    const values = sample("uniform", rows * columns, 3);
    const bits = sliceBits(rows);
    using matrix = gpu.upload("matrix", rows, columns, values);
    using peak = gpu.matrix("peak", 1, columns);
    using top = gpu.matrix("top", rows, columns);
    using rest = gpu.matrix("rest", rows, columns);
    peaks(gpu, { dims: { rows, columns }, buffers: { matrix, peak }, groups: [1], flops: 1 });
    slice(gpu, {
      dims: { rows, columns, bits },
      buffers: { matrix, peak, top, rest },
      groups: [1, padded(rows)],
      flops: 1,
    });
    using exactly = gpu.matrix("first", columns, columns);
    using others = gpu.matrix("others", columns, columns);
    await storeProduct(gpu, { buffers: { left: top, right: top, out: exactly } }, free);
    await storeProduct(gpu, { buffers: { left: top, right: rest, out: others } }, free);
    await add(gpu, { buffers: { left: rest, right: matrix, out: others } }, free);
    const low = await gpu.read(others);
    const found = Float64Array.from(await gpu.read(exactly), (value, at) => value + low[at]);
    const exact = new Float64Array(columns * columns);
    const size = new Float64Array(columns * columns);
    for (let k = 0; k < rows; k++)
      for (let i = 0; i < columns; i++)
        for (let j = 0; j < columns; j++) {
          const [x, y] = [values[k * columns + i], values[k * columns + j]];
          exact[i * columns + j] += x * y;
          // |t r| + |r x| with |r| ≤ 2^−bits, as the peaks are below 1.
          size[i * columns + j] += 2 ** -bits * (Math.abs(x) + 2 ** -bits + Math.abs(y));
        }
    const chain = 1 + 64 + Math.ceil(rows / 64) + Math.ceil(rows / 1024) + 1;
    const bound = size.map((each) => gamma(chain, UW) * each);
    assertWithin(found, exact, bound, "both");
  },
);

gpuTest(
  "errorFree: sums and products to the last bit, and this adapter keeps them",
  async (gpu) => {
    for (const n of around([4, 16, 64, 256], [61])) {
      const a = sample("normal", n, n).map((value, i) => value * 2 ** (i % 20));
      const b = sample("normal", n, n + 1);
      using operands = gpu.upload("operands", 2, n, Float32Array.from([...a, ...b]));
      using out = new Guarded(gpu, "out", 4, n);
      const groups = [Math.ceil(padded(n) / 256)] as const;
      const buffers = { operands, out: out.matrix };
      errorFree(gpu, { dims: { n, zero: 0 }, buffers, groups, flops: 1 });
      const found = await out.read((row) => row < 4);
      for (let i = 0; i < n; i++) {
        expect(found[i] + found[n + i]).toBe(a[i] + b[i]);
        expect(found[2 * n + i] + found[3 * n + i]).toBe(a[i] * b[i]);
        expect(found[i]).toBe(Math.fround(a[i] + b[i]));
      }
    }
    expect(await keepsPairs(gpu)).toBe(true);
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
    [[30, 60, 1], 500, "jacobian"],
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
