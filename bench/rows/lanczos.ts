import loadWgsl from "../../shaders/fragments/load.wgsl";
import multiplyPlainWgsl from "../../shaders/bench/multiplyPlain.wgsl";
import { pitch } from "../../src/gpu/matrix.ts";
import { checkMatrixFits } from "../../src/gpu/plan.ts";
import { defineShader } from "../../src/gpu/shader.ts";
import type { Gpu, Matrix } from "../../src/index.ts";
import {
  collapse,
  gather,
  LanczosStep,
  multiply,
  productParts,
  project,
  scale,
  subtract,
} from "../../src/stages/4-step.ts";
import { uniform } from "../random.ts";
import type { Prepared, Row } from "../run.ts";
import { bytesOf, onDevice, type Operands } from "./operands.ts";
import { compare, gamma, quotient, worse } from "./verify.ts";

/** 5792: the largest order that a binding of 128 MiB holds. */
const ORDERS = [1024, 4096, 5792, 8192] as const;

/** A Lanczos step, and its parts: a product with the matrix, and with the vectors before. */
export const lanczosRows: readonly Row[] = [
  ...ORDERS.flatMap((n) => [plainRow(n), symmetricRow(n)]),
  ...ORDERS.flatMap((n) => [productRow(n), stepRow(n, 63)]),
  ...[1024, 4096].flatMap((n) => [projectRow(n, 128), subtractRow(n, 128)]),
  ...[4096].flatMap((n) => [gatherRow(n), collapseRow(n, 512), scaleRow(n)]),
];

/** What `multiply` is held against: both triangles are read. */
const multiplyPlain = defineShader({
  name: "multiplyPlain",
  wgsl: [multiplyPlainWgsl, loadWgsl],
  dims: ["n", "vectors", "blocks", "step"],
  buffers: {
    matrix: ["read", "n", "n"],
    basis: ["read", "vectors", "n"],
    partial: ["read_write", "blocks", "n"],
  },
  sizes: {},
});

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

/** A symmetric matrix [n, n] of uniform numbers. @throws GpuError "limit" where a binding does not hold it */
function symmetric(gpu: Gpu, n: number): Float32Array {
  checkMatrixFits(gpu.limits, "matrix", n, n);
  const some = uniform(2 ** 16, 1);
  const values = new Float32Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) values[i * n + j] = some[(i * j + 7 * (i + j)) % 2 ** 16];
  return values;
}

/** A vector times the first `rows` rows of a matrix whose rows have n values, and the same of all sizes. */
function product(values: Float32Array, n: number, vector: Float32Array, first = 0, rows = n) {
  const [sum, size] = [new Float64Array(n), new Float64Array(n)];
  for (let i = first; i < first + rows; i++)
    for (let j = 0; j < n; j++) {
      const term = values[i * n + j] * vector[i];
      sum[j] += term;
      size[j] += Math.abs(term);
    }
  return { sum, size };
}

function plainRow(n: number): Row {
  const blocks = Math.ceil(n / 64);
  const about = { name: "plain multiply", size: { n }, flops: 2 * n * n, bytes: bytesOf(n, n) };
  return row({ ...about, traffic: "read" }, (gpu, own) => {
    const values = symmetric(gpu, n);
    const vector = uniform(n, 2);
    const matrix = own.upload("matrix", n, n, values);
    const basis = own.upload("basis", 1, n, vector);
    const partial = own.matrix("partial", blocks, n);
    return {
      out: partial,
      run: () =>
        multiplyPlain(gpu, {
          dims: { n, vectors: 1, blocks, step: 0 },
          buffers: { matrix, basis, partial },
          groups: [Math.ceil(vec4s(n) / 16), blocks],
          flops: 2 * n * n,
        }),
      verify(found) {
        let worst = 0;
        for (let b = 0; b < blocks; b++) {
          const { sum, size } = product(values, n, vector, 64 * b, Math.min(64, n - 64 * b));
          const error = compare(
            found.subarray(b * n, (b + 1) * n),
            (i) => sum[i],
            (i) => gamma(65) * size[i],
            n,
          );
          worst = worse(worst, error);
        }
        return worst;
      },
    };
  });
}

function symmetricRow(n: number): Row {
  const bytes = bytesOf(n, n) / 2;
  const about = { name: "symmetric multiply", size: { n }, flops: 2 * n * n, bytes };
  return row({ ...about, traffic: "read" }, (gpu, own) => {
    const { lanes, blocks, strips, parts } = productParts(gpu, n);
    const values = symmetric(gpu, n);
    const vector = uniform(n, 2);
    const matrix = own.upload("matrix", n, n, values);
    const basis = own.upload("basis", 1, n, vector);
    const partial = own.matrix("partial", parts, n);
    return {
      out: partial,
      run: () =>
        multiply(gpu, {
          dims: { n, vectors: 1, blocks, parts, step: 0 },
          buffers: { matrix, basis, partial },
          groups: [strips, blocks],
          flops: 2 * n * n,
          sizes: { LANES: lanes },
        }),
      verify(found) {
        // What was never written is 0.
        const total = new Float64Array(n);
        for (let at = 0; at < found.length; at++) total[at % n] += found[at];
        const { sum, size } = product(values, n, vector);
        return compare(
          total,
          (i) => sum[i],
          (i) => gamma(36) * size[i],
          n,
        );
      },
    };
  });
}

/** The whole product as a step takes it: `multiply`, then `gather`. */
function productRow(n: number): Row {
  const bytes = bytesOf(n, n) / 2;
  const about = { name: "lanczos product", size: { n }, flops: 2 * n * n, bytes };
  return row({ ...about, traffic: "read" }, (gpu, own) => {
    const values = symmetric(gpu, n);
    const vector = uniform(n, 2);
    const matrix = own.upload("matrix", n, n, values);
    const basis = own.matrix("basis", 2, n);
    gpu.writeBits(basis, 0, vector);
    const step = own.keep(new LanczosStep(gpu, matrix, basis, 1));
    return {
      out: basis,
      run: () => step.multiply(0),
      verify(found) {
        const { sum, size } = product(values, n, vector);
        const k = 36 + 64 + Math.ceil(productParts(gpu, n).parts / 64);
        return compare(
          found.subarray(n),
          (i) => sum[i],
          (i) => gamma(k) * size[i],
          n,
        );
      },
    };
  });
}

/** A whole step; the vectors before it have no place in common, and so are orthonormal. */
function stepRow(n: number, step: number): Row {
  const vectors = step + 2;
  return {
    name: "lanczos step",
    size: { n, vectors: step + 1 },
    flops: 2 * n * n + 8 * n * (step + 1),
    bytes: bytesOf(n, n) / 2 + bytesOf(vectors, n),
    traffic: "read",
    make(gpu): Prepared {
      const own = onDevice(gpu);
      const values = symmetric(gpu, n);
      const rows = new Float32Array(vectors * n);
      const noise = uniform(n, 3);
      for (let j = 0; j <= step; j++) {
        let square = 0;
        for (let i = j; i < n; i += step + 1) square += noise[i] ** 2;
        for (let i = j; i < n; i += step + 1) rows[j * n + i] = noise[i] / Math.sqrt(square);
      }
      const matrix = own.upload("matrix", n, n, values);
      const basis = own.upload("basis", vectors, n, rows);
      const steps = own.keep(new LanczosStep(gpu, matrix, basis, 1));
      return {
        run: () => steps.record(step),
        destroy: own.destroy,
        async check() {
          steps.record(step);
          const t = await gpu.read(steps.tridiagonal);
          const found = (await gpu.read(basis)).subarray((step + 1) * n);
          return checkStep(gpu, values, rows, step, found, t[step], t[vectors + step]);
        },
      };
    },
  };
}

/** The largest error ÷ bound of a step's vector, by its norm, of α and of β. */
function checkStep(
  gpu: Gpu,
  values: Float32Array,
  rows: Float32Array,
  step: number,
  found: Float32Array,
  alpha: number,
  beta: number,
): number {
  const n = found.length;
  const norm = (v: Float64Array) => Math.sqrt(v.reduce((sum, each) => sum + each * each, 0));
  const { sum: exact, size } = product(values, n, rows.subarray(step * n, (step + 1) * n));
  const length = norm(exact);
  let last = 0;
  for (let round = 0; round < 2; round++) {
    const dots = Float64Array.from({ length: step + 1 }, (_, j) =>
      exact.reduce((sum, each, i) => sum + each * rows[j * n + i], 0),
    );
    dots.forEach((dot, j) => exact.forEach((_, i) => (exact[i] -= dot * rows[j * n + i])));
    last += dots[step];
  }
  const rest = norm(exact);
  // The product's roundings; then in each round those of the inner products, and of what is subtracted.
  const chunks = Math.ceil(n / 256);
  const parts = 36 + 64 + Math.ceil(productParts(gpu, n).parts / 64);
  const dots = Math.sqrt(step + 1) * gamma(67 + chunks);
  const off = gamma(parts) * norm(size) + 2 * (dots + gamma(66 + step / 64)) * length;
  const scaling = gamma(chunks / 2 + 8);
  const error = norm(exact.map((each, i) => found[i] - each / rest));
  return [
    [alpha - last, off],
    [beta - rest, off + scaling * rest],
    [error, (2 * off) / rest + scaling],
  ].reduce((worst, [by, bound]) => worse(worst, quotient(by, bound)), 0);
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
  // As many as `multiply` leaves with 8 lanes.
  const [lanes, blocks] = [8, Math.ceil(n / 64)];
  const parts = blocks + lanes * Math.ceil(n / 1024);
  const read = (i: number, b: number) =>
    b < blocks ? b >= i >> 6 : b < blocks + lanes * ((i >> 10) + 1);
  return row(
    {
      name: "gather",
      size: { n },
      flops: (parts * n) / 2,
      bytes: bytesOf(parts + lanes, n) / 2 + bytesOf(1, n),
      traffic: "read",
    },
    (gpu, own) => {
      const values = uniform(parts * n, 6);
      const partial = own.upload("partial", parts, n, values);
      const basis = own.matrix("basis", 2, n);
      return {
        out: basis,
        run: () =>
          gather(gpu, {
            dims: { n, vectors: 2, blocks, parts, lanes, step: 0, scale: 0.5 },
            buffers: { partial, basis },
            groups: [Math.ceil(vec4s(n) / 16)],
            flops: (parts * n) / 2,
          }),
        verify(found) {
          const each = Array.from({ length: n }, (_, i) =>
            sums(parts, (b) => (read(i, b) ? 0.5 * values[b * n + i] : 0)),
          );
          return compare(
            found.subarray(n),
            (i) => each[i].sum,
            (i) => gamma(64 + Math.ceil(parts / 64)) * each[i].size,
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
