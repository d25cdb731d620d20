import {
  exactKernel,
  forward,
  gramError,
  InputError,
  tangentKernel,
  uploadWeights,
  type Gpu,
  type LayerWeights,
  type Network,
} from "../index.ts";
import { loadInputs, loadTargets, nodeFiles, type Targets } from "../node.ts";
import { accuracy, limit, ofOutputs, predict, type Blocks } from "../theory.ts";
import type { Normalization } from "../formats/inputs.ts";
import type { Model, ModelOptions, Session } from "./session.ts";

/** Targets of a set of samples: those of an option, else of the set's labels. */
export async function targetsOf(
  option: string,
  source: string | undefined,
  { n, targets }: { readonly n: number; readonly targets: Targets | null },
  net: Network,
): Promise<Float32Array> {
  const found = source === undefined ? targets : await loadTargets(source, n, nodeFiles);
  if (!found)
    throw new InputError(
      `--${option} is missing, but must be given for inputs without labels. Add --${option} FILE.`,
    );
  if (found.outputs !== net.outputs)
    throw new InputError(
      `--${option}: there are ${found.outputs} targets a sample, but the network has ${net.outputs} outputs. Make the last of widths and the targets agree.`,
    );
  return found.values;
}

/** Options that name held-out samples. */
export interface HeldOutOptions extends ModelOptions {
  readonly test?: string;
  readonly testTargets?: string;
}

/** Held-out samples, with their targets where there are some. */
export interface TestSet<Targets = Float32Array> {
  readonly values: Float32Array;
  readonly targets: Targets;
}

/** The samples that `--test` names, normalized as the others are; null where it names none. */
export async function testSet(
  { test, testTargets, normalize }: HeldOutOptions,
  { net, inputs }: Model,
): Promise<TestSet<Float32Array | null> | null> {
  if (test === undefined) return null;
  const how = { normalize: normalize as Normalization | undefined, files: nodeFiles, like: inputs };
  const set = await loadInputs(test, how);
  const known = testTargets !== undefined || set.targets !== null;
  const targets = known ? await targetsOf("test-targets", testTargets, set, net) : null;
  return { values: set.values, targets };
}

/** u [n, O] of a network. */
export async function outputsOf(
  gpu: Gpu,
  net: Network,
  values: readonly LayerWeights[],
  inputs: Float32Array,
): Promise<Float32Array> {
  using onDevice = uploadWeights(gpu, net, values);
  using acts = await forward(gpu, net, onDevice, inputs);
  const { outputs } = net;
  const columns = await gpu.read(acts.z[net.layers.length - 1]);
  return columns.map((_, at) => columns[(at % outputs) * acts.n + Math.floor(at / outputs)]);
}

/** Up to this many rows of training and test points together, kernels are computed in f64. */
const EXACT_ORDER = 2048;

/** What the linearization of a network at its first weights is made of. */
export async function linearBlocks(
  gpu: Gpu,
  session: Session,
  { net, weights, inputs }: Model,
  targets: Float32Array,
  test: Float32Array,
): Promise<Blocks> {
  const { outputs } = net;
  const ends = {
    targets,
    start: await outputsOf(gpu, net, weights, inputs.values),
    startTest: await outputsOf(gpu, net, weights, test),
  };
  const order = inputs.n * outputs;
  const all = order + (test.length / net.inputs) * outputs;
  if (all <= EXACT_ORDER) {
    // In f64, as what is near singular makes much of any error.
    const both = new Float32Array(inputs.values.length + test.length);
    both.set(inputs.values);
    both.set(test, inputs.values.length);
    const kernel = await exactKernel(gpu, net, weights, both, false, session.job);
    const gram = new Float64Array(order * order);
    const cross = new Float64Array((all - order) * order);
    for (let i = 0; i < all; i++) {
      const row = kernel.gram.subarray(i * all, i * all + order);
      if (i < order) gram.set(row, i * order);
      else cross.set(row, (i - order) * order);
    }
    return { ...ends, gram, cross, error: kernel.matrixError + kernel.jacobianError ** 2 };
  }
  const read = async (others: Float32Array | null): Promise<Float32Array> => {
    const first = others ?? inputs.values;
    const second = others ? inputs.values : null;
    using h = await tangentKernel(gpu, net, weights, first, second, session.job);
    return await gpu.read(h, session.job);
  };
  const h = await read(null);
  const error = await gramError(gpu, net, weights, inputs.values, h, false, session.job);
  return { ...ends, gram: Float64Array.from(h), cross: Float64Array.from(await read(test)), error };
}

/** What kernel regression with the kernel of infinite width, from outputs of 0, predicts for held-out samples [M, O]. */
export async function regressed(
  gpu: Gpu,
  session: Session,
  { net, inputs }: Model,
  targets: Float32Array,
  test: Float32Array,
  times: readonly number[],
): Promise<Float64Array[]> {
  const of = async (first: Float32Array, second: Float32Array | null) =>
    ofOutputs(await limit(gpu, net, first, second, session.job), inputs.n, net.outputs);
  const blocks = {
    gram: await of(inputs.values, null),
    cross: await of(test, inputs.values),
    targets,
  };
  const means: Float64Array[] = [];
  for (const time of times) means.push((await predict(gpu, blocks, { time }, session.job)).mean);
  return means;
}

/**
 * Shares of held-out samples that are told right: by the trained network; and, where it was trained by plain steps of the
 * mse loss, by its linearization after the same steps, and by the kernel of infinite width at the same time and at ∞.
 */
export async function accuracies(
  gpu: Gpu,
  session: Session,
  model: Model,
  trained: readonly LayerWeights[],
  targets: Float32Array,
  test: TestSet,
  moment: { readonly rate: number; readonly steps: number } | null,
): Promise<Record<string, number>> {
  const { net } = model;
  session.enter("test");
  const share = (values: ArrayLike<number>) => accuracy(values, test.targets, net.outputs);
  const found: Record<string, number> = {
    network: share(await outputsOf(gpu, net, trained, test.values)),
  };
  if (!moment) return found;
  const blocks = await linearBlocks(gpu, session, model, targets, test.values);
  found.linearized = share((await predict(gpu, blocks, moment, session.job)).mean);
  if (net.spec.fan === "out") return found;
  const times = [moment.rate * moment.steps, Infinity];
  const [same, end] = await regressed(gpu, session, model, targets, test.values, times);
  return { ...found, limit: share(same), limitForever: share(end) };
}
