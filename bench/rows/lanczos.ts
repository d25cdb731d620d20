import { pitch } from "../../src/gpu/matrix.ts";
import type { Gpu, Matrix } from "../../src/index.ts";
import {
  collapse,
  gather,
  multiply,
  project,
  scale,
  subtract,
} from "../../src/stages/4-lanczos.ts";
import { uniform } from "../random.ts";
import type { Prepared, Row } from "../run.ts";
import { bytesOf, onDevice, type Operands } from "./operands.ts";
import { compare, gamma, worse } from "./verify.ts";

/** The parts of a Lanczos step: a product with the matrix, and with the vectors before. */
export const lanczosRows: readonly Row[] = [
  ...[1024, 4096].map(multiplyRow),
  ...[1024, 4096].flatMap((n) => [projectRow(n, 128), subtractRow(n, 128)]),
  ...[4096].flatMap((n) => [gatherRow(n), collapseRow(n, 512), scaleRow(n)]),
];

const vec4s = (n: number): number => pitch(n) / 4;

/** A row whose shader is called on operands that are made once, and whose result is one matrix. */
function row(
  about: Omit<Row, "make">,
  make: (
    gpu: Gpu,
    own: Operands,
  ) => { run: () => void; out: Matrix; verify: (found: Float32Array) => number },
): Row {
  return {
    ...about,
    make(gpu): Prepared {
      const own = onDevice(gpu);
      const { run, out, verify } = make(gpu, own);
      return {
        run,
        destroy: own.destroy,
        async check() {
          run();
          return verify(await gpu.read(out));
        },
      };
    },
  };
}

/** Σ_k term(k) and Σ_k |term(k)|. */
function sums(count: number, term: (k: number) => number): { sum: number; size: number } {
  let [sum, size] = [0, 0];
  for (let k = 0; k < count; k++) {
    const value = term(k);
    sum += value;
    size += Math.abs(value);
  }
  return { sum, size };
}

function multiplyRow(n: number): Row {
  const blocks = Math.ceil(n / 64);
  return row(
    {
      name: "multiply",
      size: { n },
      flops: 2 * n * n,
      bytes: bytesOf(n, n),
      traffic: "read",
    },
    (gpu, own) => {
      const lower = uniform(n * n, 1);
      const values = lower.map((_, at) => {
        const [i, j] = [Math.floor(at / n), at % n];
        return lower[Math.max(i, j) * n + Math.min(i, j)];
      });
      const vector = uniform(n, 2);
      const matrix = own.upload("matrix", n, n, values);
      const basis = own.upload("basis", 1, n, vector);
      const partial = own.matrix("partial", blocks, n);
      return {
        out: partial,
        run: () =>
          multiply(gpu, {
            dims: { n, vectors: 1, blocks, step: 0 },
            buffers: { matrix, basis, partial },
            groups: [Math.ceil(vec4s(n) / 16), blocks],
            flops: 2 * n * n,
          }),
        verify(found) {
          let worst = 0;
          for (let b = 0; b < blocks; b++) {
            const each = Array.from({ length: n }, (_, i) =>
              sums(
                Math.min(64, n - 64 * b),
                (k) => values[(64 * b + k) * n + i] * vector[64 * b + k],
              ),
            );
            const error = compare(
              found.subarray(b * n, (b + 1) * n),
              (i) => each[i].sum,
              (i) => gamma(65) * each[i].size,
              n,
            );
            worst = worse(worst, error);
          }
          return worst;
        },
      };
    },
  );
}

function projectRow(n: number, last: number): Row {
  const [vectors, chunks] = [last + 2, Math.ceil(n / 256)];
  return row(
    {
      name: "project",
      size: { n, vectors: last + 1 },
      flops: 2 * n * (last + 1),
      bytes: bytesOf(last + 2, n),
      traffic: "read",
    },
    (gpu, own) => {
      const values = uniform(vectors * n, 3);
      const basis = own.upload("basis", vectors, n, values);
      const dots = own.matrix("dots", chunks, vectors);
      return {
        out: dots,
        run: () =>
          project(gpu, {
            dims: { n, vectors, chunks, step: last, first: 0, last },
            buffers: { basis, dots },
            groups: [Math.ceil((last + 1) / 64), chunks],
            flops: 2 * n * (last + 1),
          }),
        verify(found) {
          let worst = 0;
          for (let c = 0; c < chunks; c++)
            for (let j = 0; j <= last; j++) {
              const { sum, size } = sums(
                Math.min(256, n - 256 * c),
                (k) => values[j * n + 256 * c + k] * values[(last + 1) * n + 256 * c + k],
              );
              const at = c * vectors + j;
              worst = worse(
                worst,
                compare(
                  [found[at]],
                  () => sum,
                  () => gamma(67) * size,
                  1,
                ),
              );
            }
          return worst;
        },
      };
    },
  );
}

function subtractRow(n: number, step: number): Row {
  const vectors = step + 2;
  return row(
    {
      name: "subtract",
      size: { n, vectors: step + 1 },
      flops: 2 * n * (step + 1),
      bytes: bytesOf(step + 1, n) + 2 * bytesOf(1, n),
      traffic: "read",
    },
    (gpu, own) => {
      const values = uniform(vectors * n, 4);
      const factors = uniform(vectors, 5);
      const basis = own.upload("basis", vectors, n, values);
      const weights = own.upload("weights", 1, vectors, factors);
      return {
        out: basis,
        run: () =>
          subtract(gpu, {
            dims: { n, vectors, step },
            buffers: { weights, basis },
            groups: [Math.ceil(vec4s(n) / 16)],
            flops: 2 * n * (step + 1),
          }),
        verify(found) {
          const each = Array.from({ length: n }, (_, i) =>
            sums(step + 1, (j) => factors[j] * values[j * n + i]),
          );
          const start = (i: number) => values[(step + 1) * n + i];
          const k = 64 + Math.ceil((step + 1) / 64) + 1;
          return compare(
            found.subarray((step + 1) * n),
            (i) => start(i) - each[i].sum,
            (i) => gamma(k) * (each[i].size + Math.abs(start(i))),
            n,
          );
        },
      };
    },
  );
}

function gatherRow(n: number): Row {
  const blocks = Math.ceil(n / 64);
  return row(
    {
      name: "gather",
      size: { n },
      flops: blocks * n,
      bytes: bytesOf(blocks + 1, n),
      traffic: "read",
    },
    (gpu, own) => {
      const values = uniform(blocks * n, 6);
      const partial = own.upload("partial", blocks, n, values);
      const basis = own.matrix("basis", 2, n);
      return {
        out: basis,
        run: () =>
          gather(gpu, {
            dims: { n, vectors: 2, blocks, step: 0, scale: 0.5 },
            buffers: { partial, basis },
            groups: [Math.ceil(vec4s(n) / 64)],
            flops: blocks * n,
          }),
        verify(found) {
          const each = Array.from({ length: n }, (_, i) =>
            sums(blocks, (b) => 0.5 * values[b * n + i]),
          );
          return compare(
            found.subarray(n),
            (i) => each[i].sum,
            (i) => gamma(blocks) * each[i].size,
            n,
          );
        },
      };
    },
  );
}

function collapseRow(n: number, step: number): Row {
  const [vectors, chunks] = [step + 2, Math.ceil(n / 256)];
  return row(
    {
      name: "collapse",
      size: { n, vectors: step + 1 },
      flops: chunks * (step + 1),
      bytes: bytesOf(chunks + 1, step + 1),
      traffic: "read",
    },
    (gpu, own) => {
      const values = uniform(chunks * vectors, 7);
      const dots = own.upload("dots", chunks, vectors, values);
      const weights = own.matrix("weights", 1, vectors);
      const tridiagonal = own.matrix("tridiagonal", 2, vectors);
      return {
        out: weights,
        run: () =>
          collapse(gpu, {
            dims: { vectors, chunks, step, round: 0 },
            buffers: { dots, weights, tridiagonal },
            groups: [Math.ceil((step + 1) / 64)],
            flops: chunks * (step + 1),
          }),
        verify(found) {
          const each = Array.from({ length: step + 1 }, (_, j) =>
            sums(chunks, (c) => values[c * vectors + j]),
          );
          return compare(
            found.subarray(0, step + 1),
            (j) => each[j].sum,
            (j) => gamma(chunks) * each[j].size,
            step + 1,
          );
        },
      };
    },
  );
}

function scaleRow(n: number): Row {
  const [vectors, chunks] = [2, Math.ceil(n / 256)];
  return row(
    {
      name: "scale",
      size: { n },
      flops: n,
      bytes: 2 * bytesOf(1, n),
      traffic: "copy",
    },
    (gpu, own) => {
      const values = uniform(vectors * n, 8);
      // β = 1, so that the vector stays as it is however often it is scaled.
      const parts = Float32Array.from({ length: chunks * vectors }, () => 1 / chunks);
      const dots = own.upload("dots", chunks, vectors, parts);
      const basis = own.upload("basis", vectors, n, values);
      const tridiagonal = own.matrix("tridiagonal", 2, vectors);
      return {
        out: basis,
        run: () =>
          scale(gpu, {
            dims: { n, vectors, chunks, step: 0 },
            buffers: { dots, basis, tridiagonal },
            groups: [Math.ceil(vec4s(n) / 64)],
            flops: n,
          }),
        verify: (found) =>
          compare(
            found.subarray(n),
            (i) => values[n + i],
            (i) => gamma(chunks / 2 + 8) * Math.abs(values[n + i]),
            n,
          ),
      };
    },
  );
}
