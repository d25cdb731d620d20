import { planGram, tangentKernel, type GramPlan, type Gpu, type Matrix } from "../index.ts";
import { npyHeader, writeAtomic } from "../node.ts";
import { oneOf, Session, type Model, type ModelOptions } from "./session.ts";

/** Options of the commands that compute a tangent kernel. */
export interface GramCommandOptions extends ModelOptions {
  readonly method?: string;
  readonly outputs?: string;
}

/** Route and outputs out of a command's options. */
export const gramChoice = ({ method = "auto", outputs = "full" }: GramCommandOptions) => ({
  method: oneOf("method", method, ["auto", "jacobian", "layerwise"]),
  outputs: oneOf("outputs", outputs, ["full", "trace"]),
});

/** Rows of H that the host holds at once take at most this much. */
const HOST_BYTES = 16 * 2 ** 20;

/** `ntk gram`: H = J Jᵀ of one set of inputs, or between two. */
export async function gramCommand(
  options: GramCommandOptions & { inputs2?: string },
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const choice = gramChoice(options);
    await session.writable(options.out);
    const model = await session.model(options, options.inputs2);
    const { net, weights, inputs, others } = model;
    const gpu = await session.gpu();
    const plan = planGram(gpu, net, inputs.n, others?.n ?? 0, choice);
    session.say(planLine(model, plan));
    using h = await tangentKernel(gpu, net, weights, inputs.values, others?.values ?? null, {
      ...session.job,
      ...choice,
    });
    session.enter("write");
    const each = plan.rows / inputs.n;
    const n2 = (others ?? inputs).n;
    const shape = each === 1 ? [inputs.n, n2] : [inputs.n, n2, each, each];
    if (options.out) await writeAtomic(options.out, gramFile(gpu, h, shape, signal));
    session.finish(
      {
        n: inputs.n,
        ...(others ? { n2 } : {}),
        outputs: net.outputs,
        parameters: net.parameters,
        method: plan.method,
        shape,
        plan: { panels: plan.panels?.count ?? 0, bytes: plan.bytes, flops: plan.flops },
      },
      () => [`H [${shape.join(", ")}] by ${plan.method}${options.out ? ` → ${options.out}` : ""}`],
    );
  } finally {
    session.close();
  }
}

/** What a tangent kernel will take, in one line. */
export function planLine({ net, weights, inputs }: Model, plan: GramPlan): string {
  const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;
  const host =
    2 *
      weights.reduce(
        (sum, { weight, bias }) => sum + 4 * (weight.length + (bias?.length ?? 0)),
        0,
      ) +
    2 * 4 * inputs.values.length +
    2 * HOST_BYTES;
  const jacobian = 4 * plan.rows * net.parameters;
  return (
    `plan: ${plan.method}` +
    (plan.panels
      ? `, J of ${mebibytes(jacobian)} in ${plan.panels.count} panels of ${plan.panels.depth} parameters`
      : "") +
    `; device ${mebibytes(plan.bytes)}, host ${mebibytes(host)}, together ${mebibytes(plan.bytes + host)}; ` +
    `${(plan.flops / 1e9).toFixed(1)} Gflop beyond the passes`
  );
}

/** The file of H: [n1, n2] as it lies, [n1, n2, O, O] with the outputs' axes moved to the end. */
export async function* gramFile(
  gpu: Gpu,
  h: Matrix,
  shape: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  yield npyHeader(shape, "f4");
  const [n1, n2, each = 1] = shape;
  const height = Math.max(1, Math.floor(HOST_BYTES / (4 * each * h.columns)));
  for (let start = 0; start < n1; start += height) {
    const count = Math.min(height, n1 - start);
    const values = await gpu.read(h, { signal }, start * each, count * each);
    yield new Uint8Array(
      (each === 1 ? values : outputsLast(values, count, n2, each)).buffer as ArrayBuffer,
    );
  }
}

/** [i · O + a, j · O + b] → [i, j, a, b]. */
export function outputsLast(
  values: Float32Array,
  n1: number,
  n2: number,
  each: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  let at = 0;
  for (let i = 0; i < n1; i++)
    for (let j = 0; j < n2; j++)
      for (let a = 0; a < each; a++)
        for (let b = 0; b < each; b++)
          out[at++] = values[(i * each + a) * n2 * each + j * each + b];
  return out;
}
