import { expect } from "vitest";
import { seed } from "../../src/stages/2-backward.ts";
import { rows } from "../../src/stages/2-jacobian.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { gpuTest } from "../gpu.ts";
import { Guarded, KINDS, padded, report, sample } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

gpuTest("seed: a signal of the outputs is 1 at its own unit and 0 elsewhere", async (gpu) => {
  const cases = shapes(
    { outputs: 5, samples: 7, first: 0, count: 5 },
    {
      outputs: around([4, 16], [37]),
      samples: around([4, 16, 64], [61]),
      first: [0, 1, 4],
      count: [1, 2, 3, 4, 5],
    },
    20,
  );
  for (const asked of [...cases, { outputs: 3, samples: 86, first: 0, count: 3 }]) {
    const { outputs, samples } = asked;
    const first = Math.min(asked.first, outputs - 1);
    const count = Math.min(asked.count, outputs - first);
    const columns = samples * count;
    using out = new Guarded(gpu, "out", outputs, columns);
    seed(gpu, {
      dims: { outputs, columns, first, count },
      buffers: { out: out.matrix },
      groups: [Math.ceil(padded(columns) / 4 / 64), padded(outputs)],
      flops: 1,
    });
    const expected = Float32Array.from({ length: outputs * columns }, (_, at) =>
      Math.floor(at / columns) === first + ((at % columns) % count) ? 1 : 0,
    );
    expect(await out.read(), JSON.stringify({ outputs, columns, first, count })).toEqual(expected);
  }
});

const SHAPES = shapes(
  { units: 3, fan: 5, samples: 7, outputs: 1 },
  {
    units: around([4, 16], [13]),
    fan: around([4, 16, 64], [29]),
    samples: around([4, 16, 64, 256], [61, 241]),
    outputs: [1, 2, 3, 4, 5, 10, 17],
  },
  40,
).filter(({ units, fan, samples, outputs }) => units * fan * samples * outputs <= 40_000);

interface Part {
  readonly firstParameter: number;
  readonly count: number;
  /** Where in the panel it goes, and how many rows of the panel follow it. */
  readonly firstRow: number;
  readonly after: number;
}

gpuTest(
  "rows: a layer's part of a panel is within two roundings, and nothing else moves",
  async (gpu) => {
    let worst = 0;
    let index = 0;
    for (const { units, fan, samples, outputs } of SHAPES) {
      index += 1;
      const kind = KINDS[index % 2];
      const columns = samples * outputs;
      const all = units * (fan + 1);
      const half = Math.ceil(all / 2);
      // The whole layer with its biases; without; its end, from the middle of a unit; its beginning, with rows behind.
      const parts: Part[] = [
        { firstParameter: 0, count: all, firstRow: 0, after: 0 },
        { firstParameter: 0, count: units * fan, firstRow: 0, after: 0 },
        { firstParameter: all - half, count: half, firstRow: 5, after: 0 },
        { firstParameter: 0, count: half, firstRow: 2, after: 20 },
      ];
      const g = sample(kind, units * columns, 2 * index);
      const a = sample(kind, fan * samples, 2 * index + 1);
      const weightScale = Math.fround(1 / Math.sqrt(fan));
      const biasScale = Math.fround(0.1);
      using signals = gpu.upload("signals", units, columns, g);
      using acts = gpu.upload("acts", fan, samples, a);
      for (const { firstParameter, count, firstRow, after } of parts) {
        const depth = firstRow + count + after;
        const written = after > 0 ? count : padded(depth) - firstRow;
        using panel = new Guarded(gpu, "panel", depth, columns);
        rows(gpu, {
          dims: {
            ...{
              units,
              fan,
              columns,
              outputs,
              samples,
              depth,
              firstRow,
              written,
              firstParameter,
              count,
            },
            ...{ weightScale, biasScale },
          },
          buffers: { signals, acts, panel: panel.matrix },
          groups: [Math.ceil(padded(columns) / 4 / 16), Math.ceil(written / 16)],
          flops: 1,
        });
        const values = await panel.read((row) => row >= firstRow && row < firstRow + written);
        const exact = new Float64Array(count * columns);
        const bound = new Float64Array(count * columns);
        for (let r = 0; r < count; r++)
          for (let s = 0; s < columns; s++) {
            const p = firstParameter + r;
            const bias = p >= units * fan;
            const unit = bias ? p - units * fan : Math.floor(p / fan);
            const act = bias ? 1 : a[(p % fan) * samples + Math.floor(s / outputs)];
            const at = r * columns + s;
            exact[at] = (bias ? biasScale : weightScale) * g[unit * columns + s] * act;
            bound[at] = gamma(bias ? 1 : 2, UW) * Math.abs(exact[at]);
          }
        const label = JSON.stringify({ units, fan, samples, outputs, firstParameter, count });
        const own = values.subarray(firstRow * columns, (firstRow + count) * columns);
        worst = Math.max(worst, assertWithin(own, exact, bound, label).worst);
      }
    }
    report("rows", gpu, worst);
  },
);
