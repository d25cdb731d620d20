import { expect } from "vitest";
import { pick, shuffled } from "../../src/theory/batches.ts";
import { loss, LOSSES } from "../../src/theory/loss.ts";
import { descend } from "../../src/theory/training.ts";
import { pitch } from "../../src/gpu/matrix.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { lossOf } from "../reference/training.ts";
import { Guarded, random, sample } from "./guarded.ts";
import { around, shapes } from "./sizes.ts";

const slots = 3;

gpuTest("loss: losses and slopes of every kind within the header's bounds", async (gpu) => {
  const next = random(3);
  const SHAPES = shapes(
    { outputs: 3, n: 21 },
    { outputs: [1, 2, 10, 17], n: around([4, 16, 64, 256], [61, 241]) },
    12,
  );
  for (const [kind, name] of LOSSES.entries())
    for (const { outputs, n } of SHAPES)
      for (const size of [1, 25]) {
        const rows = sample("normal", n * outputs, n).map((value) => size * value);
        const wanted = new Float32Array(n * outputs);
        for (let i = 0; i < n; i++)
          if (name === "softmax") wanted[i * outputs + Math.floor(next() * outputs)] = 1;
          else for (let o = 0; o < outputs; o++) wanted[i * outputs + o] = next() < 0.5 ? -1 : 1;
        const turned = (values: ArrayLike<number>) =>
          Float32Array.from(
            { length: n * outputs },
            (_, at) => values[(at % n) * outputs + Math.floor(at / n)],
          );
        using u = gpu.upload("u", outputs, n, turned(rows));
        using y = gpu.upload("y", outputs, n, turned(wanted));
        using r = new Guarded(gpu, "r", outputs, n);
        const groups = Math.ceil(n / 256);
        using history = new Guarded(gpu, "history", slots, groups + 2);
        loss(gpu, {
          dims: { outputs, n, slots, fields: groups + 2, slot: 1 },
          buffers: { u, y, r: r.matrix, history: history.matrix },
          groups: [groups],
          flops: 1,
          sizes: { LOSS: kind },
        });
        const exact = lossOf(name, rows, wanted, outputs);
        const found = await r.read((row) => row < outputs);
        const bounds = new Float64Array(n * outputs);
        const each = new Float64Array(n);
        for (let i = 0; i < n; i++) {
          const own = Array.from(rows.subarray(i * outputs, (i + 1) * outputs));
          const top = Math.max(...own);
          const spread = top - Math.min(...own);
          const total = own.reduce((sum, value) => sum + Math.exp(value - top), 0);
          const value = exact.each[i];
          each[i] = [
            gamma(outputs + 4, UW) * value,
            gamma(outputs + 12, UW) * value + 2 ** -120,
            (spread + outputs + 8) * UW + gamma(outputs + 12, UW) * value,
          ][kind];
          for (let o = 0; o < outputs; o++) {
            const size = Math.abs(exact.slopes[i * outputs + o]);
            const share = Math.exp(own[o] - top) / total;
            bounds[i * outputs + o] = [
              UW * size,
              12 * UW * size + 2 ** -120,
              (2 * spread + outputs + 12) * UW * share + UW * size + 2 ** -120,
            ][kind];
          }
        }
        const label = `${name} ${outputs} × ${n}, size ${size}`;
        assertWithin(
          found,
          turned64(exact.slopes, n, outputs),
          turned64(bounds, n, outputs),
          label,
        );
        const row = await history.read((slot, field) => slot === 1 && field < groups);
        for (let group = 0; group < groups; group++) {
          const [from, to] = [256 * group, Math.min(n, 256 * (group + 1))];
          const sum = (values: Float64Array) =>
            values.subarray(from, to).reduce((all, value) => all + value, 0);
          const [value, off] = [sum(exact.each), sum(each)];
          assertWithin(
            [row[groups + 2 + group]],
            [value],
            [off + gamma(72, UW) * (value + off)],
            label,
          );
        }
      }
});

/** [n, outputs] as [outputs, n], in f64. */
const turned64 = (values: Float64Array, n: number, outputs: number): Float64Array =>
  values.map((_, at) => values[(at % n) * outputs + Math.floor(at / n)]);

gpuTest(
  "descend: the step of every weight and the sum of squares within the header's bounds",
  async (gpu) => {
    const SHAPES = shapes(
      { rows: 7, columns: 21 },
      { rows: around([16, 64], [61]), columns: around([4, 16, 64, 256], [241]) },
      12,
    );
    for (const { rows, columns } of SHAPES)
      for (const momentum of [0, 0.875]) {
        const size = rows * columns;
        const values = sample("normal", size, 1);
        // From far below an ulp of the weight to far above it.
        const slopes = sample("normal", size, 2).map((value, at) => value * 2 ** (-40 + (at % 60)));
        const speeds = sample("normal", size, 3);
        const rests = values.map((value, at) => value * 2 ** -26 * (1 - (at % 3)));
        const fields = 2 + Math.ceil((Math.ceil(rows / 16) * 16 * pitch(columns)) / 4096);
        using gradient = gpu.upload("gradient", rows, columns, slopes);
        using velocity =
          momentum > 0
            ? new Guarded(gpu, "velocity", rows, columns, speeds)
            : new Guarded(gpu, "velocity", 1, 1, Float32Array.of(5));
        using weight = new Guarded(gpu, "weight", rows, columns, values);
        using rest = new Guarded(gpu, "rest", rows, columns, rests);
        using history = new Guarded(gpu, "history", slots, fields);
        const rate = 0.3;
        descend(gpu, {
          dims: {
            ...{ rows, columns, slots, fields, slot: 2, first: 1, rate, momentum, zero: 0 },
            ...{ velocityRows: velocity.matrix.rows, velocityColumns: velocity.matrix.columns },
          },
          buffers: {
            ...{ gradient, velocity: velocity.matrix, weight: weight.matrix },
            ...{ rest: rest.matrix, history: history.matrix },
          },
          groups: [fields - 2],
          flops: 1,
        });
        const label = `${rows} × ${columns}, momentum ${momentum}`;
        const speed = await velocity.read(momentum > 0 ? undefined : () => false);
        const along = Float64Array.from(slopes, (value, at) =>
          momentum > 0 ? momentum * speeds[at] + value : value,
        );
        const sizeOf = (at: number) => Math.abs(momentum * speeds[at]) + Math.abs(slopes[at]);
        if (momentum > 0)
          assertWithin(
            speed,
            along,
            along.map((_, at) => gamma(2, UW) * sizeOf(at)),
            label,
          );
        else expect(speed[0]).toBe(5);
        const [high, low] = [await weight.read(), await rest.read()];
        assertWithin(
          Float64Array.from(high, (value, at) => value + low[at]),
          along.map((value, at) => values[at] + rests[at] - Math.fround(rate) * value),
          along.map(
            (value, at) =>
              2 * UW * rate * Math.abs(value) +
              rate * (momentum > 0 ? gamma(2, UW) * sizeOf(at) * (1 + 2 * UW) : 0) +
              UW * Math.abs(rests[at]) +
              2 ** -46 * Math.abs(values[at]),
          ),
          label,
        );
        high.forEach((value, at) => {
          const ulp = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 23);
          if (!(Math.abs(low[at]) <= ulp / 2))
            throw new Error(`${label}: rest ${low[at]} of ${value}`);
        });
        const row = (
          await history.read((slot, field) => slot === 2 && field >= 1 && field < fields - 1)
        ).subarray(2 * fields + 1, 3 * fields - 1);
        const squares = slopes.reduce((sum, value) => sum + value * value, 0);
        const sum = row.reduce((all, value) => all + value, 0);
        assertWithin([sum], [squares], [gamma(84, UW) * squares], label);
      }
  },
);

gpuTest("pick: the named columns in their order, padding zero", async (gpu) => {
  const SHAPES = shapes(
    { rows: 7, n: 21 },
    { rows: around([4, 16], [61]), n: around([4, 16, 64, 256], [61, 241]) },
    12,
  );
  for (const { rows, n } of SHAPES) {
    const values = sample("normal", rows * n, n);
    const places = shuffled(n, n, 2);
    using matrix = gpu.upload("matrix", rows, n, values);
    using order = gpu.upload("order", 1, n, places);
    for (const [first, columns] of [
      [0, n],
      [Math.floor(n / 3), Math.ceil(n / 2)],
      [n - 1, 1],
    ]) {
      using out = new Guarded(gpu, "out", rows, columns);
      pick(gpu, {
        dims: { rows, n, columns, first },
        buffers: { matrix, order, out: out.matrix },
        groups: [Math.ceil(columns / 64), 4 * Math.ceil(rows / 16)],
        flops: 1,
      });
      const found = await out.read();
      for (let i = 0; i < rows; i++)
        for (let j = 0; j < columns; j++)
          if (!Object.is(found[i * columns + j], values[i * n + places[first + j]]))
            throw new Error(`${rows} × ${n}, ${columns} from ${first}: [${i}, ${j}]`);
    }
  }
});
