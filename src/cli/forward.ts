import { forward, uploadWeights } from "../index.ts";
import { writeAtomic, writeNpy } from "../node.ts";
import { Session, type ModelOptions } from "./session.ts";

/** `ntk forward`: the network's outputs u [n, O]. */
export async function forwardCommand(options: ModelOptions, signal: AbortSignal): Promise<void> {
  const session = new Session(options, signal);
  try {
    await session.writable(options.out);
    const { net, weights, inputs } = await session.model(options);
    const gpu = await session.gpu();
    const { n, outputs } = { n: inputs.n, outputs: net.outputs };
    using onDevice = uploadWeights(gpu, net, weights);
    using acts = await forward(gpu, net, onDevice, inputs.values, session.job);
    session.enter("read-back");
    const z = await gpu.read(acts.z[acts.z.length - 1], session.job);
    const u = Float32Array.from(
      { length: n * outputs },
      (_, at) => z[(at % outputs) * n + Math.floor(at / outputs)],
    );
    session.enter("write");
    if (options.out) await writeAtomic(options.out, [writeNpy([n, outputs], u)]);
    session.finish({ n, outputs, parameters: net.parameters, shape: [n, outputs] }, () =>
      options.out
        ? [`u [${n}, ${outputs}] → ${options.out}`]
        : Array.from({ length: n }, (_, i) => u.subarray(i * outputs, (i + 1) * outputs).join(" ")),
    );
  } finally {
    session.close();
  }
}
