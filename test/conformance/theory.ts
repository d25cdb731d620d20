/** What is built on the core, told wherever it runs: training, predictions, infinite width. Nothing belongs to a host. */
import type { Gpu, NetworkSpec } from "../../src/index.ts";
import { assertWithin, gamma, UW } from "../reference/compare.ts";
import { eigenvalues } from "../reference/eigen.ts";
import { descend } from "../reference/training.ts";
import { chain, draw, exactGram, referenceNetwork, type Core } from "./problem.ts";
import { told, type Check } from "./story.ts";

/** The public names of the second entry: `src/theory.ts`, or `dist/theory.js` built from it. */
export type Theory = typeof import("../../src/theory.ts");

/** Tells the story; every sentence is checked. */
export async function theoryStory(core: Core, theory: Theory, gpu: Gpu): Promise<Check[]> {
  const { checks, check } = told();
  const within = (...of: Parameters<typeof assertWithin>): number => assertWithin(...of).worst;
  const before = gpu.stats();
  const spec: NetworkSpec = {
    ...{ widths: [4, 30, 20, 1], activation: "tanh", parameterization: "ntk" },
    ...{ weightScale: 1.2, biasScale: 0.3 },
  };
  const net = core.network(spec);
  const n = 21;
  const problem = draw(core, spec, n, 3);
  const targets = Float32Array.from({ length: n }, (_, i) => (i % 3 === 0 ? 1 : -1));
  const values = problem.weights;

  await check("50 steps of training have the losses that they have in f64", async () => {
    const rate = 2 ** -5;
    using training = await theory.Training.open(gpu, net, values, problem.inputs, targets, {
      rate,
    });
    const { losses } = await training.advance(50);
    const exact = descend(referenceNetwork(spec), values, problem.inputs, targets, {
      steps: 50,
      rate,
    });
    // Errors of one forward pass: those of steps do not add up to more where the loss falls.
    const each = 3 * gamma(chain(30) + 20, UW);
    const bounds = exact.losses.map((loss) => each * (Math.sqrt(2 * loss * n) + each * n));
    return within(losses, exact.losses.slice(0, 50), bounds.slice(0, 50), "losses");
  });
  await check("the kernel is tracked, and the loss stays below its bound", async () => {
    const { tracked, regime } = await theory.train(gpu, net, values, problem.inputs, targets, {
      ...{ steps: 40, rate: { perLambda: 0.1 }, track: 10 },
    });
    if (regime.seen !== "lazy") throw new Error(`the regime is ${regime.seen}`);
    return Math.max(
      ...tracked.slice(1).map(({ loss, lossBound, bound }) => (loss - lossBound) / bound!),
    );
  });
  await check("a singular kernel predicts the known value at t = ½", async () => {
    const gram = Float64Array.of(1, 1, 1, 1);
    const blocks = { gram, cross: gram, targets: [1, 2] };
    const { mean } = await theory.predict(gpu, blocks, { time: 0.5 });
    return within(mean, [0.9481808382428365, 0.9481808382428365], 1e-12, "f");
  });
  await check("a linear network's limit is its kernel: x·x′/d + β²", async () => {
    const linear = core.network({ ...spec, widths: [4, 1], activation: [] });
    const limit = await theory.limit(gpu, linear, problem.inputs, null);
    const { inputs } = problem;
    const exact = limit.map((_, at) => {
      let sum = 0.3 ** 2;
      for (let k = 0; k < 4; k++)
        sum += (1.2 ** 2 / 4) * inputs[4 * Math.floor(at / n) + k] * inputs[4 * (at % n) + k];
      return sum;
    });
    return within(limit, exact, 1e-13 * Math.max(...exact), "Θ");
  });
  await check("both ends of a kernel that is not stored lie in their intervals", async () => {
    const { values: gram } = exactGram(problem.reference, problem.reference, {
      method: "layerwise",
    });
    const exact = eigenvalues(gram, n);
    const { spectrum } = await theory.kernelSpectrum(gpu, net, values, problem.inputs, {
      ...{ top: 2, bottom: 2 },
    });
    if (spectrum.condition === null) throw new Error("λ_min is not told from 0");
    // The reference's own sums of a few hundred terms, and its solver's 60 n ulp.
    const own = (2000 + 120 * n) * 2 ** -53 * spectrum.trace;
    const bounds = spectrum.errorBounds.map((bound) => bound + own);
    const ends = [0, 1, n - 2, n - 1].map((place) => exact[place]);
    return within(spectrum.eigenvalues, ends, bounds, "λ");
  });
  await check("an error of the second entry is one of the core's classes", async () => {
    const error: unknown = await theory.Training.open(gpu, net, values, problem.inputs, targets, {
      rate: -1,
    }).catch((thrown: unknown) => thrown);
    if (!(error instanceof core.InputError)) throw new Error(`instead: ${error}`);
    return 0;
  });
  await check("no buffer and no byte is left", async () => {
    const { buffers, bytes } = gpu.stats();
    if (buffers !== before.buffers || bytes !== before.bytes)
      throw new Error(`${buffers - before.buffers} buffers are left`);
    return 0;
  });
  return checks;
}
