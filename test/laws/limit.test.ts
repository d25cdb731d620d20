/** Kernels of infinite width: their definition, and what is exact of them. */
import { describe, expect, test } from "vitest";
import {
  ACTIVATIONS,
  InputError,
  network,
  NonFiniteError,
  type Activation,
  type Network,
  type NetworkSpec,
} from "../../src/index.ts";
import type { LimitOptions } from "../../src/theory/limit.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues, normals } from "../reference/eigen.ts";
import { angleBetween, limitPair } from "../reference/limit.ts";
import { bounds, both, kernelOf, made, SAID } from "./limits.ts";

const { PI } = Math;

/** Five samples of four features, among them a near-duplicate of another and of its antipode. */
function samples(): Float32Array {
  const x = normals(3, 20);
  for (let k = 0; k < 4; k++) {
    x[8 + k] = x[k] * (1 + 1e-3 * k);
    x[12 + k] = -x[k] * (1 - 2e-3 * k);
  }
  return x;
}

describe("the definition", () => {
  const lists: (Activation | readonly Activation[])[] = [
    ...ACTIVATIONS,
    ["relu", "tanh", "leaky_relu"],
    ["erf", "relu", "gelu"],
    ["silu", "softplus", "relu"],
  ];
  for (const [which, activation] of lists.entries())
    test(`${[activation].flat().join(", ")}: both kernels are what quadrature of E[φ φ] and E[φ′ φ′] gives`, async () => {
      const names = typeof activation === "string" ? [activation, activation] : activation;
      const leaky = names.includes("leaky_relu") ? { negativeSlope: 0.2 } : {};
      const spec: NetworkSpec = {
        widths: [4, ...names.map((_, l) => 20 + l), 2],
        activation: names,
        parameterization: which % 2 === 0 ? "ntk" : "standard",
        weightScale: 1.3,
        biasScale: [null, 0.3, 0][which % 3],
        ...leaky,
      };
      const x = samples();
      const { ntk, nngp } = await both(network(spec), x);
      const reference = { ...spec, activation: names, fan: "in" as const, negativeSlope: 0.2 };
      const exact = { ntk: new Float64Array(25), nngp: new Float64Array(25) };
      for (let i = 0; i < 5; i++)
        for (let j = 0; j <= i; j++) {
          const pair = limitPair(
            reference,
            x.subarray(4 * i, 4 * i + 4),
            x.subarray(4 * j, 4 * j + 4),
          );
          exact.ntk[5 * i + j] = exact.ntk[5 * j + i] = pair.ntk;
          exact.nngp[5 * i + j] = exact.nngp[5 * j + i] = pair.nngp;
        }
      assertWithin(ntk, exact.ntk, bounds(ntk), "Θ");
      assertWithin(nngp, exact.nngp, bounds(nngp), "Σ");
    }, 60_000);

  test("tanh has the printed K and K̇, and softplus′ sigmoid's K", async () => {
    // |x|²/4 = |y|²/4 = q, x·y/4 = q/2.
    const x = [2, 0, 0, 0, 1, 1, 1, 1];
    const net = (activation: Activation) => made({ activation, weightScale: 1 });
    for (const [scale, q, k, kDot] of [
      [1, 1, 0.186324413203, 0.384747028441],
      [2, 4, 0.274638015565, 0.146695105711],
    ]) {
      const inputs = x.map((value) => scale * value);
      const { ntk, nngp } = await both(net("tanh"), inputs);
      // Printed to 12 digits.
      const found = [nngp[1], (ntk[1] - nngp[1]) / (q / 2)];
      assertWithin(found, [k, kDot], 5e-13 + 4 * SAID, `q = ${q}`);
      const soft = await both(net("softplus"), inputs);
      const sigmoid = await kernelOf(net("sigmoid"), inputs, { kernel: "nngp" });
      const slopes = (soft.ntk[1] - soft.nngp[1]) / (q / 2);
      assertWithin([slopes], [sigmoid[1]], (8 * SAID * soft.ntk[0]) / q, "softplus′");
    }
  });

  test("thousands of terms: tanh at variances up to 81 keeps its digits on the diagonal, and nears the arcsine law of signs", async () => {
    const x = normals(6, 40).map((value) => value * 5);
    x.set([18, 0, 0, 0]);
    const net = made({ activation: "tanh", weightScale: 1 });
    const found = await kernelOf(net, x, { kernel: "nngp" });
    for (let i = 0; i < 10; i++)
      for (let j = 0; j < i; j++) {
        const [a, b] = [i, j].map((at) => x.subarray(4 * at, 4 * at + 4));
        const law = 1 - (2 / PI) * angleBetween(a, b).angle;
        // tanh differs from the sign on |u| ≲ 1 of √q: E|sgn − tanh| = ∫ 2 (1 − tanh u) p(u) du ≤ 2 ln 2 p(0).
        const off = [a, b].reduce((sum, each) => {
          const q = each.reduce((total, value) => total + value * value, 0) / 4;
          return sum + (2 * Math.LN2) / Math.sqrt(2 * PI * q);
        }, 0);
        assertWithin([found[10 * i + j]], [law], off, `[${i}, ${j}]`);
      }
    let whole = 0;
    for (let at = -14 * 512; at <= 14 * 512; at++) {
      const z = at / 512;
      whole += (Math.tanh(9 * z) ** 2 * Math.exp(-0.5 * z * z)) / Math.sqrt(2 * PI) / 512;
    }
    assertWithin([found[0]], [whole], SAID, "E tanh²(9 z)");
    expect(eigenvalues(found, 10)[9]).toBeGreaterThan(0);
  });
});

describe("exact identities", () => {
  test("equal samples, in any order, in one set or two, give equal bits; the kernel is symmetric to the bit", async () => {
    const x = Float32Array.from([...samples(), ...samples().subarray(4, 8)]);
    for (const activation of ACTIVATIONS) {
      const net = made({ widths: [4, 9, 9, 1], activation, biasScale: 0.2 });
      const kernel = await kernelOf(net, x);
      const cross = await kernelOf(net, x, {}, x);
      expect(cross).toEqual(kernel);
      for (let i = 0; i < 6; i++) {
        for (let j = 0; j < i; j++) expect(kernel[6 * i + j]).toBe(kernel[6 * j + i]);
        expect(kernel[6 * 5 + i]).toBe(kernel[6 * 1 + i]);
      }
      expect(kernel[6 * 5 + 1]).toBe(kernel[7 * 1]);
      const order = [4, 2, 5, 0, 1, 3];
      const turned = await kernelOf(
        net,
        order.flatMap((at) => [...x.subarray(4 * at, 4 * at + 4)]),
      );
      order.forEach((a, i) =>
        order.forEach((b, j) => expect(turned[6 * i + j]).toBe(kernel[6 * a + b])),
      );
    }
  });

  test("no eigenvalue is below 0, but for rounding; nor of Θ − Σ, a product of kernels", async () => {
    const x = normals(9, 4 * 40);
    for (const activation of ACTIVATIONS) {
      const net = made({ widths: [4, 9, 9, 1], activation, biasScale: 0.2 });
      const { ntk, nngp } = await both(net, x);
      for (const kernel of [ntk, nngp, ntk.map((value, at) => value - nngp[at])]) {
        const trace = Array.from({ length: 40 }, (_, i) => ntk[41 * i]).reduce((a, b) => a + b);
        const least = eigenvalues(kernel, 40)[39];
        expect(least, activation).toBeGreaterThanOrEqual(-2 * SAID * trace);
      }
    }
  });

  test("bias-free ReLU: Θ(ax, bx′) = ab Θ(x, x′), to the bit for powers of two; multiples and antipodes exactly", async () => {
    const x = normals(2, 20);
    const net = made({ widths: [4, 9, 9, 9, 1] });
    const kernel = await kernelOf(net, x);
    const cross = (a: number, b: number) =>
      kernelOf(
        net,
        x.map((value) => a * value),
        {},
        x.map((value) => b * value),
      );
    expect(await cross(4, 0.125)).toEqual(kernel.map((value) => value / 2));
    // The inputs are rounded: their angles move by 2⁻²³ at the most, and the kernel by less than Θ_ii for each.
    assertWithin(
      await cross(3, 5),
      kernel.map((value) => 15 * value),
      bounds(kernel, 15 * 2 ** -20),
      "3, 5",
    );
    const one = made({});
    const [line, own] = [
      await kernelOf(one, [1, 2, 3, 4, 3, 6, 9, 12, -2, -4, -6, -8]),
      await kernelOf(one, [1, 2, 3, 4]),
    ];
    assertWithin([own[0]], [30], 30 * SAID, "2 · 2|x|²/d");
    assertWithin(line.subarray(0, 3), [30, 90, 0], [30 * SAID, 90 * SAID, 0], "on a line");
  });

  test("near-antipodes keep the digits of π − θ, which is all there is of their kernel", async () => {
    const net = made({});
    const x = normals(5, 4);
    for (const step of [1e-2, 1e-4, 1e-6, 2 ** -23]) {
      const y = x.map((value, k) => -value * (1 + (k % 2 === 0 ? step : 0)));
      const { rest: left } = angleBetween(x, y);
      expect(left).toBeGreaterThan(0);
      const { ntk, nngp } = await both(net, [...x, ...y]);
      const dot = x.reduce((sum, value, k) => sum + value * y[k], 0);
      // σ_w² K̇ Θ¹ = 2 (π − θ)/(2π) 2 x·y/d
      const slopes = ((ntk[1] - nngp[1]) * PI * 2) / dot;
      assertWithin([slopes], [left], 1e-12 * left + 8 * 2 ** -53 * left, `step ${step}`);
      const length = Math.sqrt(ntk[0] * ntk[3]);
      // Σ = σ_w² √(q1 q2) (sin ψ − ψ cos ψ)/(2π), ψ³/3 of it, with Θ_ii = 4 |x|²/d.
      const cubic = (length * left ** 3) / 3 / (2 * PI);
      assertWithin([nngp[1]], [cubic], cubic * (left * left + 1e-12), `Σ, step ${step}`);
    }
  });

  test("any depth: bias-free ReLU with σ_w² = 2 has (weight layers) · 2|x|²/d on its diagonal", async () => {
    const x = normals(4, 40);
    for (const depth of [0, 1, 2, 5, 20]) {
      const net = made({ widths: [4, ...Array<number>(depth).fill(9), 1] });
      const kernel = await kernelOf(net, x);
      for (let i = 0; i < 10; i++) {
        const square = x.subarray(4 * i, 4 * i + 4).reduce((sum, value) => sum + value * value, 0);
        const exact = ((depth + 1) * 2 * square) / 4;
        // √2² is 2 to a rounding, once a layer.
        assertWithin([kernel[11 * i]], [exact], exact * 2 ** -52 * (6 + 8 * depth), `${depth}`);
      }
    }
  });

  test("linear nets: Σ = w^L s + b Σ w^j and Θ = Σ_l w^{L−l} Σ^l, with and without biases", async () => {
    const x = normals(7, 20);
    for (const biasScale of [null, 0, 0.7])
      for (const hidden of [0, 1, 3]) {
        const net = made({
          widths: [4, ...Array<number>(hidden).fill(8), 2],
          activation: "linear",
          weightScale: 1.2,
          biasScale,
        });
        const { ntk, nngp } = await both(net, x);
        const [w, b] = [1.2 ** 2, (biasScale ?? 0) ** 2];
        const [theta, sigma] = [new Float64Array(25), new Float64Array(25)];
        for (let at = 0; at < 25; at++) {
          const [i, j] = [Math.floor(at / 5), at % 5];
          let dot = 0;
          for (let k = 0; k < 4; k++) dot += x[4 * i + k] * x[4 * j + k];
          let covariance = dot / 4;
          let sum = 0;
          for (let l = 0; l <= hidden; l++) {
            covariance = w * covariance + b;
            sum += w ** (hidden - l) * covariance;
          }
          [theta[at], sigma[at]] = [sum, covariance];
        }
        assertWithin(ntk, theta, bounds(ntk), "Θ");
        assertWithin(nngp, sigma, bounds(nngp), "Σ");
      }
  });

  test("Σ does not know the parameterization; Θ of ntk knows no bias of scale 0, of standard its parameters", async () => {
    const x = samples();
    for (const activation of ["relu", "tanh", "gelu"] as const) {
      const net = (parameterization: "ntk" | "standard", biasScale: number | null) =>
        made({ widths: [4, 7, 5, 1], activation, parameterization, biasScale });
      const sigma = await kernelOf(net("ntk", 0.4), x, { kernel: "nngp" });
      expect(await kernelOf(net("standard", 0.4), x, { kernel: "nngp" })).toEqual(sigma);
      expect(await kernelOf(net("ntk", 0), x)).toEqual(await kernelOf(net("ntk", null), x));
      const [zero, none] = [
        await kernelOf(net("standard", 0), x),
        await kernelOf(net("standard", null), x),
      ];
      for (let i = 0; i < 5; i++) expect(zero[6 * i]).toBeGreaterThan(none[6 * i] + 1);
    }
  });

  test("samples of zeros: nothing comes of them without biases, and nothing is lost with them", async () => {
    const x = [0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0];
    for (const activation of ACTIVATIONS)
      for (const biasScale of [null, 0.5]) {
        const kernel = await kernelOf(made({ widths: [4, 7, 7, 1], activation, biasScale }), x);
        expect(kernel.every(Number.isFinite), activation).toBe(true);
        expect(kernel[2]).toBe(kernel[0]);
        if (activation === "relu" && biasScale === null)
          expect(kernel.filter((_, at) => at !== 4)).toEqual(new Float64Array(8));
      }
  });
});

describe("what is refused", () => {
  const x = [1, 2, 3, 4];
  const refusal = (net: Network, options: object, inputs: ArrayLike<number> = x) =>
    kernelOf(net, inputs, options as LimitOptions);

  test("no limit, no such kernel or option, samples of another width", async () => {
    await expect(refusal(made({ fan: "out" }), {})).rejects.toThrow(
      /fan is "out", but must be "in"/,
    );
    await expect(refusal(made({}), { kernel: "ntkk" })).rejects.toThrow(/kernel is "ntkk"/);
    await expect(refusal(made({}), { kernl: "ntk" })).rejects.toThrow(/Did you mean "kernel"/);
    await expect(refusal(made({}), {}, [1, 2, 3])).rejects.toThrow(InputError);
    await expect(refusal(made({}), {}, [])).rejects.toThrow(InputError);
    await expect(refusal(made({}), {}, [1, NaN, 3, 4])).rejects.toThrow(NonFiniteError);
    await expect(kernelOf(made({}), x, {}, [1])).rejects.toThrow(InputError);
  });

  test("variances beyond a series, or beyond f64", async () => {
    const far = x.map((value) => 100 * value);
    await expect(refusal(made({ activation: "tanh" }), {}, far)).rejects.toThrow(
      /layer 1 have variance 1\.500e\+5.*tanh.*up to 1/,
    );
    expect((await refusal(made({ activation: "gelu" }), {}, far))[0]).toBeGreaterThan(1e5);
    const deep = made({ widths: [4, 9, 9, 9, 9, 1], weightScale: 1e30 });
    await expect(refusal(deep, {})).rejects.toThrow(/layer \d have variance/);
  });

  test("an aborted one, with the signal's reason; else progress is told, up to 1 at the most", async () => {
    const reason = new Error("enough");
    await expect(refusal(made({}), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const shares: number[] = [];
    const onProgress = ({ share }: { share: number }) => shares.push(share);
    await refusal(made({}), { onProgress }, normals(1, 4 * 500));
    expect(shares.length).toBeGreaterThan(0);
    expect(shares.every((share) => share >= 0 && share <= 1)).toBe(true);
  });
});
