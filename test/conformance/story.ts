/**
 * The engine's story, told wherever it runs: the same checks with the same bounds in Node and in a browser.
 * Nothing here belongs to a host.
 */
import type { Gpu } from "../../src/index.ts";
import { assertWithin } from "../reference/compare.ts";
import { eigen, knownSpectra } from "../reference/eigen.ts";
import { jacobian } from "../reference/jacobian.ts";
import {
  backwardError,
  eigenvalueError,
  estimateError,
  ghosts,
  omissions,
  orthogonality,
  recurrence,
  residuals,
} from "../reference/lanczos.ts";
import {
  compute,
  draw,
  engineGram,
  exact,
  exactGram,
  METHODS,
  type Core,
  type Problem,
} from "./problem.ts";

/** One sentence of the story, and whether it held. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** The largest figure ÷ its limit: at most 1 where the sentence held. */
  readonly worst: number;
  /** What went wrong; empty where nothing did. */
  readonly note: string;
}

/** Sentences, one after the other: `body` gives a figure whose limit is 1, or throws. */
export function told() {
  const checks: Check[] = [];
  const check = async (name: string, body: () => Promise<number>): Promise<void> => {
    try {
      const worst = await body();
      const ok = worst <= 1;
      checks.push({ name, ok, worst, note: ok ? "" : `${worst} is not ≤ 1` });
    } catch (error) {
      checks.push({ name, ok: false, worst: Infinity, note: String(error) });
    }
  };
  return { checks, check };
}

/** The case without files, made by two f64 programs: twelve printed digits. */
const PRINTED = {
  out: [-0.229846952839, -0.434678467881, -0.494980112568, -0.254878374045],
  gram: [
    [1.779633696332, 1.25368749971, 0.293373018392, 1.625583095442],
    [1.25368749971, 1.694100700052, 1.114303997116, 0.864250912062],
    [0.293373018392, 1.114303997116, 1.541772732519, 0.059448628147],
    [1.625583095442, 0.864250912062, 0.059448628147, 1.801878033201],
  ].flat(),
  eigenvalues: [4.50708085, 1.95948681, 0.2997336, 0.0510839],
  /** Half a unit of the last digit. */
  digit: 5.1e-13,
  eigenvalueDigit: [5.1e-9, 5.1e-9, 5.1e-8, 5.1e-8],
};

/** tanh 2-3-4-1 whose weights are sines, and four points. */
export function printedCase(): Problem {
  const widths = [2, 3, 4, 1];
  return {
    spec: {
      widths,
      activation: "tanh",
      parameterization: "ntk",
      weightScale: Math.SQRT2,
      biasScale: 0.5,
    },
    weights: [0, 1, 2].map((l) => ({
      weight: Float32Array.from({ length: widths[l] * widths[l + 1] }, (_, at) => {
        const [o, i] = [Math.floor(at / widths[l]), at % widths[l]];
        return Math.sin(1 + 1.7 * l + 0.9 * o + 2.3 * i + 0.37 * o * i);
      }),
      bias: Float32Array.from({ length: widths[l + 1] }, (_, o) => Math.cos(0.5 + l + 0.8 * o)),
    })),
    inputs: Float32Array.of(1, 0, Math.cos(1), Math.sin(1), -0.6, 0.8, 0.3, -1.2),
  };
}

/**
 * Tells the story on an open engine.
 *
 * @param core the module: `src/index.ts`, or the built `dist/index.js`
 * @returns every check, in order; none is left out when an earlier one fails
 */
export async function story(core: Core, gpu: Gpu): Promise<Check[]> {
  const { checks, check } = told();
  const before = gpu.stats();
  const within = (...of: Parameters<typeof assertWithin>): number => assertWithin(...of).worst;

  const printed = printedCase();
  const printedReference = exact(printed);
  const rounded = roundingOfParameters(printed);
  await check("tanh 2-3-4-1: the outputs are the printed ones", async () => {
    const { out } = await compute(core, gpu, printed);
    const { dz } = printedReference.pass.activations;
    const bound = dz[2].map((value, i) => value + rounded.out[i] + PRINTED.digit);
    return within(out, PRINTED.out, bound, "outputs");
  });
  for (const method of METHODS)
    await check(`tanh 2-3-4-1: H by the ${method} route is the printed one`, async () => {
      const { values, route } = await engineGram(core, gpu, printed, { method });
      const { bound } = exactGram(printedReference, printedReference, route);
      const wide = bound.map((value, i) => value + rounded.gram[i] + PRINTED.digit);
      return within(values, PRINTED.gram, wide, "H");
    });
  // The intervals hold the eigenvalues of the f32 problem; those of the printed one are moved by at most ‖ΔH‖_F.
  await check("tanh 2-3-4-1: the printed eigenvalues lie in their intervals", async () => {
    const net = core.network(printed.spec);
    const { spectrum } = await core.ntk(gpu, net, printed.weights, printed.inputs);
    const moved = Math.sqrt(rounded.gram.reduce((sum, value) => sum + value * value, 0));
    const bound = spectrum.errorBounds.map(
      (value, i) => value + moved + PRINTED.eigenvalueDigit[i],
    );
    return within(spectrum.eigenvalues, PRINTED.eigenvalues, bound, "eigenvalues");
  });

  const mixed = draw(
    core,
    {
      widths: [5, 37, 21, 3],
      activation: ["relu", "gelu"],
      parameterization: "ntk",
      weightScale: 1.4,
      biasScale: 0.3,
    },
    19,
    3,
  );
  const { reference } = mixed;
  await check(
    "relu and gelu, three outputs: outputs and Jacobian lie in their bounds",
    async () => {
      const { out, jac } = await compute(core, gpu, mixed);
      const { z, dz } = reference.pass.activations;
      const rows = jacobian(reference.net, reference.pass.activations, reference.pass.signals);
      return Math.max(
        within(out, z[2], dz[2], "outputs"),
        within(jac, rows.jac, rows.bound, "jacobian"),
      );
    },
  );
  for (const method of METHODS) {
    for (const outputs of ["full", "trace"] as const)
      await check(`${outputs} H by the ${method} route lies in its bound, symmetric`, async () => {
        const { values, route } = await engineGram(core, gpu, mixed, { method, outputs });
        const { values: right, bound } = exactGram(reference, reference, route);
        const n = Math.round(Math.sqrt(values.length));
        const mirrored = values.map((_, at) => values[(at % n) * n + Math.floor(at / n)]);
        within(values, mirrored, 0, "H and its transpose");
        return within(values, right, bound, "H");
      });
    await check(`H between two sets by the ${method} route lies in its bound`, async () => {
      const { widths } = mixed.spec;
      const [first, others] = [
        mixed.inputs.slice(0, 7 * widths[0]),
        mixed.inputs.slice(7 * widths[0]),
      ];
      const one = { ...mixed, inputs: first };
      const { values, route } = await engineGram(core, gpu, one, { method }, others);
      const two = exact({ ...mixed, inputs: others });
      const { values: right, bound } = exactGram(exact(one), two, route);
      return within(values, right, bound, "H");
    });
  }

  for (const { name, n, a, values: lambda, error } of knownSpectra(33, 5)) {
    await check(
      `Lanczos on ${name}: small residuals, orthogonal, no ghosts, none left out, whole and thick ends`,
      async () => {
        const norm = Math.max(Math.abs(lambda[0]), Math.abs(lambda[n - 1]));
        using matrix = gpu.upload("A", n, n, a);
        let worst = 0;
        for (const wanted of [{}, { top: 3, bottom: 2 }]) {
          using run = await core.lanczos(gpu, matrix, wanted);
          const { steps, tridiagonal, values, rest } = run;
          const basis = await gpu.read(run.basis);
          const q = rest.beta > 0 ? Float32Array.of(...basis, ...rest.vector) : basis;
          const which = "top" in wanted ? [0, 1, 2, steps - 2, steps - 1] : [...values.keys()];
          using ritz = await core.ritzVectors(gpu, run, which);
          const v = await gpu.read(ritz);
          const theta = which.map((place) => values[place]);
          const rho = residuals(a, n, theta, v);
          worst = Math.max(
            worst,
            backwardError(a, n, theta, v, norm, 2 ** -22),
            orthogonality(basis, n) / 10,
            orthogonality(v, n) / 10,
            recurrence(a, n, q, tridiagonal.diagonal, tridiagonal.beside, norm) / 16,
            eigenvalueError(n, theta, rho, eigen(a, n).values, norm),
            estimateError(
              n,
              which.map((place) => run.residuals[place]),
              rho,
              norm,
            ),
            ghosts(n, theta, lambda, norm) === 0 ? 0 : 2,
            omissions(a, n, theta.slice(0, 3), "top", norm) === 0 ? 0 : 2,
            run.converged ? 0 : 2,
          );
        }
        return worst;
      },
    );
    await check(`the spectrum of ${name} lies in its intervals`, async () => {
      using matrix = gpu.upload("A", n, n, a);
      const { eigenvalues, errorBounds } = await core.spectrum(gpu, matrix);
      return within(
        eigenvalues,
        lambda,
        errorBounds.map((bound) => bound + error),
        "eigenvalues",
      );
    });
  }

  await check("NaN in the inputs is refused by operand and index", async () => {
    const inputs = printed.inputs.slice();
    inputs[5] = NaN;
    const net = core.network(printed.spec);
    const error: unknown = await core
      .tangentKernel(gpu, net, printed.weights, inputs)
      .catch((thrown: unknown) => thrown);
    const right = error instanceof core.NonFiniteError && error.index === 5 && error.count === 1;
    if (!right) throw new Error(`instead: ${error}`);
    return 0;
  });
  await check("an overflow in layer 2 is refused by its name", async () => {
    const huge = printed.weights.map(({ weight, bias }, l) =>
      l === 1 ? { weight: weight.map((value) => 3e38 * Math.sign(value)), bias } : { weight, bias },
    );
    const net = core.network({ ...printed.spec, weightScale: 40 });
    const error: unknown = await core
      .tangentKernel(gpu, net, huge, printed.inputs)
      .catch((thrown: unknown) => thrown);
    const right = error instanceof core.NonFiniteError && /layer 2/.test(error.operand);
    if (!right) throw new Error(`instead: ${error}`);
    return 0;
  });
  await check("the engine computes after an error as before", async () => {
    const { values, route } = await engineGram(core, gpu, printed, { method: "layerwise" });
    const { values: right, bound } = exactGram(printedReference, printedReference, route);
    return within(values, right, bound, "H");
  });
  await check("no buffer and no byte is left", async () => {
    const { buffers, bytes } = gpu.stats();
    if (buffers !== before.buffers || bytes !== before.bytes)
      throw new Error(
        `${buffers - before.buffers} buffers, ${bytes - before.bytes} bytes are left`,
      );
    return 0;
  });
  return checks;
}

/**
 * How far the f32 problem's exact outputs and H are from those of the f64 weights and inputs that were printed: the
 * two are computed, not bounded.
 */
function roundingOfParameters(problem: Problem): { out: Float64Array; gram: Float64Array } {
  const { widths } = problem.spec;
  const f64 = {
    ...problem,
    weights: problem.weights.map(({ weight, bias }, l) => ({
      weight: Float64Array.from(weight, (_, at) => {
        const [o, i] = [Math.floor(at / widths[l]), at % widths[l]];
        return Math.sin(1 + 1.7 * l + 0.9 * o + 2.3 * i + 0.37 * o * i);
      }),
      bias: Float64Array.from(bias!, (_, o) => Math.cos(0.5 + l + 0.8 * o)),
    })),
    inputs: Float64Array.of(1, 0, Math.cos(1), Math.sin(1), -0.6, 0.8, 0.3, -1.2),
  };
  const [one, two] = [exact(problem), exact(f64 as unknown as Problem)];
  const route = { method: "layerwise" } as const;
  const [h1, h2] = [exactGram(one, one, route).values, exactGram(two, two, route).values];
  return {
    out: one.pass.activations.z[2].map((value, i) =>
      Math.abs(value - two.pass.activations.z[2][i]),
    ),
    gram: h1.map((value, i) => Math.abs(value - h2[i])),
  };
}
