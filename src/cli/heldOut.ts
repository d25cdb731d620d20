import {
  forward,
  InputError,
  tangentKernel,
  uploadWeights,
  type Gpu,
  type LayerWeights,
  type Network,
} from "../index.ts";
import { loadInputs, loadTargets, nodeFiles, type Targets } from "../node.ts";
import { accuracy, predict, type Moment } from "../theory.ts";
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

/** Held-out samples with their targets. */
export interface TestSet {
  readonly values: Float32Array;
  readonly targets: Float32Array;
}

/** The samples that `--test` names, normalized as the others are; null where it names none. */
export async function testSet(
  { test, testTargets, normalize }: HeldOutOptions,
  { net, inputs }: Model,
): Promise<TestSet | null> {
  if (test === undefined) return null;
  const how = { normalize: normalize as Normalization | undefined, files: nodeFiles, like: inputs };
  const set = await loadInputs(test, how);
  return { values: set.values, targets: await targetsOf("test-targets", testTargets, set, net) };
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

/** What the linearization of a network at its first weights predicts for held-out samples [M, O]. */
export async function linearized(
  gpu: Gpu,
  session: Session,
  { net, weights, inputs }: Model,
  targets: Float32Array,
  test: Float32Array,
  moment: Moment,
): Promise<Float64Array> {
  const read = async (others: Float32Array | null): Promise<Float64Array> => {
    const first = others ?? inputs.values;
    const second = others ? inputs.values : null;
    using h = await tangentKernel(gpu, net, weights, first, second, session.job);
    return Float64Array.from(await gpu.read(h, session.job));
  };
  const blocks = {
    gram: await read(null),
    cross: await read(test),
    targets,
    start: await outputsOf(gpu, net, weights, inputs.values),
    startTest: await outputsOf(gpu, net, weights, test),
  };
  return (await predict(gpu, blocks, moment, session.job)).mean;
}

/** Shares of held-out samples that are told right: by the trained network, and by its linearization at the same moment. */
export async function accuracies(
  gpu: Gpu,
  session: Session,
  model: Model,
  trained: readonly LayerWeights[],
  targets: Float32Array,
  test: TestSet,
  moment: Moment,
): Promise<Record<string, number>> {
  const { net } = model;
  session.enter("test");
  const share = (values: ArrayLike<number>) => accuracy(values, test.targets, net.outputs);
  return {
    network: share(await outputsOf(gpu, net, trained, test.values)),
    linearized: share(await linearized(gpu, session, model, targets, test.values, moment)),
  };
}
