/** Problems whose eigenvalues are hard: random symmetric matrices of all kinds, and points on a half circle. */
import * as core from "../../src/index.ts";
import { draw } from "../conformance/problem.ts";
import { normals, uniforms } from "../reference/eigen.ts";

/** A symmetric matrix of a kind that the number chooses, of order `most` at the most, or twice that for every tenth. */
export function randomProblem(
  seed: number,
  most = 40,
): { n: number; a: Float32Array; kind: string } {
  const uniform = uniforms(700 + seed);
  const n = 1 + Math.floor(uniform() * (seed % 10 === 9 ? 2 * most : most));
  const kinds = ["Gram", "indefinite", "low rank", "graded", "copies", "diagonal", "tiny", "huge"];
  const kind = kinds[seed % kinds.length];
  const inner = { Gram: 2 * n, "low rank": 1 + (seed % 3), graded: n }[kind] ?? n + 1;
  const x = Float64Array.from(normals(800 + seed, n * inner));
  if (kind === "graded")
    for (let at = 0; at < x.length; at++) x[at] *= 4 ** -Math.floor(at / inner);
  if (kind === "copies")
    for (let at = 0; at < x.length; at++) x[at] = x[at % (inner * Math.ceil(n / 3))];
  const a = new Float32Array(n * n);
  const scale = { tiny: 2 ** -90, huge: 2 ** 90 }[kind] ?? 1;
  const flat = normals(900 + seed, n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) sum += x[i * inner + k] * x[j * inner + k];
      if (kind === "indefinite") sum = flat[i * n + j];
      if (kind === "diagonal") sum = i === j ? Math.round(flat[i]) : 0;
      a[i * n + j] = a[j * n + i] = scale * sum;
    }
  return { n, a, kind };
}

/** n points on a half circle, which a smooth network takes for ever more alike: κ grows ten times for each two. */
export function halfCircle(n: number) {
  const spec: core.NetworkSpec = {
    widths: [2, 256, 256, 1],
    activation: "tanh",
    parameterization: "ntk",
    weightScale: 1,
    biasScale: 0.1,
  };
  const inputs = Float32Array.from({ length: 2 * n }, (_, i) =>
    (i % 2 ? Math.sin : Math.cos)((Math.PI * (i >> 1)) / n),
  );
  return { ...draw(core, spec, n, 0), inputs };
}
