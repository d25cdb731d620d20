import {
  backward,
  fillJacobian,
  forward,
  NonFiniteError,
  uploadWeights,
  type Gpu,
  type LayerWeights,
  type Network,
} from "../index.ts";
import { planPanels } from "../gpu/plan.ts";
import { npyHeader, writeAtomic, type Inputs } from "../node.ts";
import { Session, type ModelOptions } from "./session.ts";

/** Rows of J that the host holds at once take at most this much. */
const HOST_BYTES = 64 * 2 ** 20;

/** `ntk jacobian`: J [n · O, p], row (i, a) at i · O + a, some samples at a time. */
export async function jacobianCommand(options: ModelOptions, signal: AbortSignal): Promise<void> {
  const session = new Session(options, signal);
  try {
    await session.writable(options.out);
    const { net, weights, inputs } = await session.model(options);
    const gpu = await session.gpu();
    const shape = [inputs.n * net.outputs, net.parameters];
    let sum = 0;
    async function* chunks() {
      yield npyHeader(shape, "f4");
      for await (const rows of jacobianRows(gpu, net, weights, inputs, session)) {
        for (const value of rows) sum += value * value;
        if (!(sum < Infinity)) throw overflow(net, rows);
        yield new Uint8Array(rows.buffer);
      }
    }
    if (options.out) await writeAtomic(options.out, chunks());
    else for await (const _ of chunks());
    session.finish(
      {
        n: inputs.n,
        outputs: net.outputs,
        parameters: net.parameters,
        shape,
        frobenius: Math.sqrt(sum),
      },
      () => [
        `J [${shape.join(", ")}], ‖J‖_F = ${Math.sqrt(sum)}${options.out ? ` → ${options.out}` : ""}`,
      ],
    );
  } finally {
    session.close();
  }
}

/** The error for rows of J that hold something else than numbers: in which layer's columns, and how many. */
function overflow({ layers, parameters }: Network, rows: Float32Array): NonFiniteError {
  const first = rows.findIndex((value) => !Number.isFinite(value));
  const count = rows.reduce((sum, value) => sum + (Number.isFinite(value) ? 0 : 1), 0);
  const parameter = first % parameters;
  const place = layers.findIndex((l) => parameter < l.firstParameter + l.parameters) + 1;
  return new NonFiniteError(
    "jacobian",
    `layer ${place} of a block of rows`,
    first,
    count,
    "Scale the weights or the inputs down.",
  );
}

/** Blocks of whole rows of J in order, f32 row-major. */
async function* jacobianRows(
  gpu: Gpu,
  net: Network,
  weights: readonly LayerWeights[],
  inputs: Inputs,
  session: Session,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const { parameters, outputs } = net;
  using onDevice = uploadWeights(gpu, net, weights);
  const height = Math.max(1, Math.floor(HOST_BYTES / (4 * parameters * outputs)));
  for (let start = 0; start < inputs.n; start += height) {
    const count = Math.min(height, inputs.n - start);
    const samples = inputs.values.subarray(start * net.inputs, (start + count) * net.inputs);
    using acts = await forward(gpu, net, onDevice, samples, session.job);
    using signals = await backward(gpu, net, onDevice, acts, session.job);
    const columns = count * outputs;
    const { depth } = planPanels(gpu.limits, parameters, columns);
    using panel = gpu.matrix("jacobian panel", depth, columns);
    const rows = new Float32Array(columns * parameters);
    for (let first = 0; first < parameters; first += depth) {
      const view = panel.view(Math.min(depth, parameters - first));
      await fillJacobian(gpu, net, acts, signals, first, view, async () => {
        session.job.onProgress?.({
          stage: "jacobian",
          share: (start + (count * first) / parameters) / inputs.n,
        });
      });
      const values = await gpu.read(view, session.job);
      for (let p = 0; p < view.rows; p++)
        for (let s = 0; s < columns; s++)
          rows[s * parameters + first + p] = values[p * columns + s];
    }
    yield rows;
  }
}
