/** What judges other packages, against references that share no code with it. */
import { expect, test } from "vitest";
import type { Work } from "../../bench/versus.ts";
import { referenceNetwork } from "../conformance/problem.ts";
import { eigen } from "../reference/eigen.ts";
import { descend } from "../reference/training.ts";

interface Check {
  reference(work: Work): { values: Float64Array };
  verdict(
    result: Float32Array,
    exact: unknown,
  ): { correct: boolean; worst: number; error?: string };
}
const load = <T>(file: string) =>
  import(/* @vite-ignore */ `../../bench/peers/${file}`) as Promise<T>;
const { reference, verdict } = await load<Check>("check.mjs");
const { WORKS } = await load<{ WORKS: Record<string, () => Work> }>("works.mjs");

const work = <Kind extends Work["kind"]>(name: string, kind: Kind) => {
  const made = WORKS[name]();
  expect(made.kind).toBe(kind);
  return made as Work & { readonly kind: Kind };
};

const STEPS = Object.keys(WORKS).filter((name) => name.startsWith("small-step-"));

test.each(STEPS)("%s: the step is the reference\u2019s; none and half a step are wrong", (name) => {
  const given = work(name, "step");
  const after = (rate: number) => {
    const net = referenceNetwork(given.spec);
    const found = descend(net, given.weights, given.inputs, given.targets, { steps: 1, rate });
    const parts = found.weights.flatMap(({ weight, bias }) => [...weight, ...(bias ?? [])]);
    return { outputs: found.outputs[1], result: Float32Array.from(parts) };
  };
  const exact = reference(given);
  const { outputs, result } = after(given.rate);
  outputs.forEach((value, at) => expect(Math.abs(exact.values[at] - value)).toBeLessThan(1e-10));
  expect(verdict(result, exact)).toMatchObject({ correct: true });
  for (const part of [0, 0.5, 0.99])
    expect(verdict(after(part * given.rate || 1e-30).result, exact).correct, `${part}`).toBe(false);
  expect(verdict(result.subarray(1), exact).error).toMatch(/is not its length/);
  result[7] = NaN;
  expect(verdict(result, exact).correct).toBe(false);
});

test("eigenvectors in any order are right; one that is wrong or twice there is not", () => {
  const given = work("small-eigh", "eigh");
  const { n } = given;
  const { values, vectors } = eigen(given.a, n);
  const result = (order: (i: number) => number) =>
    Float32Array.from({ length: n + n * n }, (_, at) => {
      const place = order(at % n);
      return at < n ? values[place] : vectorOf(vectors, place, n)[Math.floor(at / n) - 1];
    });
  const exact = reference(given);
  expect(
    verdict(
      result((i) => i),
      exact,
    ),
  ).toMatchObject({ correct: true });
  expect(
    verdict(
      result((i) => n - 1 - i),
      exact,
    ),
  ).toMatchObject({ correct: true });
  expect(
    verdict(
      result((i) => Math.max(i, 1)),
      exact,
    ).correct,
  ).toBe(false);
  for (const wrong of [1.01, NaN]) {
    const changed = result((i) => i);
    changed[2] *= wrong;
    expect(verdict(changed, exact).correct).toBe(false);
  }
  expect(verdict(new Float32Array(n * n), exact).error).toMatch(/is not its length/);
});

/** Eigenvector number `place`; the reference has one a row. */
const vectorOf = (vectors: Float64Array, place: number, n: number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => vectors[place * n + i]);

test("a factor is right whatever stands above its diagonal, and wrong with one wrong entry", () => {
  const given = work("small-cholesky", "cholesky");
  const { n, a } = given;
  const lower = new Float32Array(n * n).fill(5);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= lower[i * n + k] * lower[j * n + k];
      lower[i * n + j] = i === j ? Math.sqrt(sum) : sum / lower[j * (n + 1)];
    }
  const exact = reference(given);
  expect(verdict(lower, exact)).toMatchObject({ correct: true });
  for (const wrong of [lower[n] + 1e-3, NaN]) {
    const changed = lower.slice();
    changed[n] = wrong;
    expect(verdict(changed, exact).correct).toBe(false);
  }
  expect(verdict(lower.subarray(1), exact).error).toMatch(/is not its length/);
});
