import { pitch } from "../../src/gpu/matrix.ts";
import { finite } from "../../src/stages/0-finite.ts";
import { kinks } from "../../src/stages/1-kinks.ts";
import { seed } from "../../src/stages/2-backward.ts";
import { rows } from "../../src/stages/2-jacobian.ts";
import { mirror } from "../../src/stages/3-gram.ts";
import { uniform } from "../random.ts";
import type { Row } from "../run.ts";
import { bytesOf, onDevice } from "./operands.ts";
import { compare, gamma, worse } from "./verify.ts";

/** The shaders beside products and Lanczos: each writes or reads a matrix once. */
export const partRows: readonly Row[] = [
  ...[256, 1024].map((n) => jacobianRow(n, 4096)),
  ...[4096, 65536].map((columns) => seedRow(16, columns)),
  ...[1024, 4096].map(mirrorRow),
  ...[512, 2048].map((n) => finiteRow(n, 2048)),
  ...[512, 2048].map((n) => kinksRow(n, 2048)),
];

/** A panel of J: the weights of one layer of 512 units. */
function jacobianRow(n: number, depth: number): Row {
  const [units, fan] = [512, 512];
  const first = 3 * fan + 5; // in the middle of a unit
  return {
    name: "rows",
    size: { n, depth },
    flops: 2 * depth * n,
    // Each signal is used for a row of weights, each activation for all units.
    bytes: bytesOf(depth, n) + bytesOf(Math.ceil(depth / fan), n) + bytesOf(fan, n),
    traffic: "copy",
    make(gpu) {
      const own = onDevice(gpu);
      const [g, a] = [uniform(units * n, 1), uniform(fan * n, 2)];
      const signals = own.upload("signals", units, n, g);
      const acts = own.upload("acts", fan, n, a);
      const panel = own.matrix("panel", depth, n);
      const weightScale = 0.25;
      const run = () =>
        rows(gpu, {
          dims: {
            ...{ units, fan, columns: n, outputs: 1, samples: n, depth },
            ...{ firstRow: 0, written: depth, firstParameter: first, count: depth },
            ...{ weightScale, biasScale: 0.5 },
          },
          buffers: { signals, acts, panel },
          groups: [Math.ceil(pitch(n) / 4 / 16), Math.ceil(depth / 16)],
          flops: 2 * depth * n,
        });
      return {
        run,
        destroy: own.destroy,
        async check() {
          run();
          const exact = (at: number): number => {
            const p = first + Math.floor(at / n);
            const column = at % n;
            return weightScale * g[Math.floor(p / fan) * n + column] * a[(p % fan) * n + column];
          };
          const bound = (at: number) => gamma(2) * Math.abs(exact(at));
          return compare(await gpu.read(panel), exact, bound, depth * n);
        },
      };
    },
  };
}

/** The signals of the output layer. */
function seedRow(outputs: number, samples: number): Row {
  const columns = samples * outputs;
  return {
    name: "seed",
    size: { outputs, samples },
    flops: 0,
    bytes: bytesOf(outputs, columns),
    traffic: "copy",
    make(gpu) {
      const own = onDevice(gpu);
      const out = own.matrix("out", outputs, columns);
      const run = () =>
        seed(gpu, {
          dims: { outputs, columns, first: 0, count: outputs },
          buffers: { out },
          groups: [Math.ceil(pitch(columns) / 4 / 64), Math.ceil(outputs / 16) * 16],
          flops: out.bytes,
        });
      return {
        run,
        destroy: own.destroy,
        async check() {
          run();
          const exact = (at: number) =>
            Number(Math.floor(at / columns) === (at % columns) % outputs);
          return compare(await gpu.read(out), exact, () => 0, outputs * columns);
        },
      };
    },
  };
}

/** The upper triangle from the lower one. */
function mirrorRow(n: number): Row {
  return {
    name: "mirror",
    size: { n },
    flops: 0,
    bytes: bytesOf(n, n),
    traffic: "copy",
    make(gpu) {
      const own = onDevice(gpu);
      const values = uniform(n * n, 3);
      const matrix = own.upload("matrix", n, n, values);
      const run = () =>
        mirror(gpu, {
          dims: { n },
          buffers: { matrix },
          groups: [Math.ceil(n / 256), 4 * Math.ceil(n / 16)],
          flops: n * n,
        });
      return {
        run,
        destroy: own.destroy,
        async check() {
          run();
          const exact = (at: number): number => {
            const [i, j] = [Math.floor(at / n), at % n];
            return values[Math.max(i, j) * n + Math.min(i, j)];
          };
          return compare(await gpu.read(matrix), exact, () => 0, n * n);
        },
      };
    },
  };
}

/** Whether a matrix is finite. */
function finiteRow(count: number, columns: number): Row {
  return {
    name: "finite",
    size: { rows: count, columns },
    flops: 0,
    bytes: bytesOf(count, columns),
    traffic: "read",
    make(gpu) {
      const own = onDevice(gpu);
      const values = uniform(count * columns, 4);
      const matrix = own.upload("matrix", count, columns, values);
      const found = own.matrix("found", 1, 3);
      const run = () =>
        finite(gpu, {
          dims: { rows: count, columns, slots: 1, slot: 0 },
          buffers: { matrix, found },
          groups: [Math.ceil(matrix.bytes / 16 / 64 / 64)],
          flops: count * columns,
        });
      return {
        run,
        destroy: own.destroy,
        async check() {
          run();
          const [bad, first, largest] = new Uint32Array((await gpu.read(found)).buffer);
          const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          const bits = new Uint32Array(Float32Array.of(most).buffer)[0];
          return bad === 0 && first === 0 && largest === bits ? 0 : Infinity;
        },
      };
    },
  };
}

/** The pre-activations next to 0: a few, as in a network. */
function kinksRow(count: number, columns: number): Row {
  const near = 2 ** -20;
  const capacity = 2 ** 10;
  return {
    name: "kinks",
    size: { rows: count, columns },
    flops: 0,
    bytes: bytesOf(count, columns),
    traffic: "read",
    make(gpu) {
      const own = onDevice(gpu);
      const values = uniform(count * columns, 5);
      const z = own.upload("z", count, columns, values);
      const found = own.matrix("found", 1, capacity);
      const groups = Math.ceil(z.bytes / 16 / 64);
      const across = Math.min(groups, gpu.limits.maxComputeWorkgroupsPerDimension);
      const run = () =>
        kinks(gpu, {
          dims: { rows: count, columns, slots: 1, capacity, slot: 0, near },
          buffers: { z, found },
          groups: [across, Math.ceil(groups / across)],
          flops: count * columns,
        });
      return {
        run,
        destroy: own.destroy,
        async check() {
          run();
          const [listed, ...places] = new Uint32Array((await gpu.read(found)).buffer);
          const exact = Array.from(values.keys())
            .filter((at) => Math.abs(values[at]) <= near)
            .map((at) => 2 * at + Number(values[at] > 0));
          const sorted = places.slice(0, exact.length).sort((a, b) => a - b);
          const error = compare(
            sorted,
            (i) => exact[i],
            () => 0,
            exact.length,
          );
          return listed === exact.length ? worse(error, 0) : Infinity;
        },
      };
    },
  };
}
