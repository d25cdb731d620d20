/** What is on the device already: the same H waited for once, and what is not finite by its own name. */
import { expect } from "vitest";
import {
  deviceKernel,
  forward,
  gram,
  network,
  NonFiniteError,
  normals,
  openGpu,
  uploadWeights,
  weights,
  type Gpu,
  type NetworkSpec,
} from "../../src/node.ts";
import { gpuTest } from "../gpu.ts";

const SPEC: NetworkSpec = {
  ...{ widths: [5, 40, 33, 3], activation: "tanh", parameterization: "ntk" },
  ...{ weightScale: 1.2, biasScale: 0.3 },
};

const bits = async (gpu: Gpu, h: Awaited<ReturnType<typeof gram>>) => {
  const values = await gpu.read(h);
  h.destroy();
  return new Uint32Array(values.buffer);
};

gpuTest(
  "deviceKernel: the bits of forward and gram, from matrices and from values",
  async (gpu) => {
    for (const activation of ["tanh", "relu"] as const) {
      const net = network({ ...SPEC, activation });
      using onDevice = uploadWeights(gpu, net, weights(net, 7));
      const inputs = normals(1, 50 * net.inputs);
      using columns = gpu.upload("inputs", net.inputs, 50, inputs, true);
      for (const options of [
        { method: "layerwise" },
        { method: "jacobian" },
        { outputs: "trace" },
      ] as const) {
        using acts = await forward(gpu, net, onDevice, columns);
        const right = await bits(gpu, await gram(gpu, net, onDevice, acts, null, options));
        for (const given of [columns, inputs])
          expect(
            await bits(gpu, await deviceKernel(gpu, net, onDevice, given, options)),
            `${activation}, ${JSON.stringify(options)}`,
          ).toEqual(right);
      }
    }
    expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
  },
);

/** The weights of one value each, all fan-ins counted in. */
const filled = (widths: readonly number[], each: readonly number[]) =>
  each.map((value, layer) => ({
    weight: new Float32Array(widths[layer] * widths[layer + 1]).fill(value),
    bias: null,
  }));

gpuTest("what is not finite is named where it began, and nothing stays behind", async (gpu) => {
  for (const { each, input, says } of [
    { each: [1e30, 1, 1], input: 1e30, says: /^forward: the pre-activations of layer 1, / },
    { each: [1, 1e30, 1e30], input: 0, says: /^backward: the signals of layer 1, / },
    { each: [1, 1, 1e25], input: 0, says: /^gram: the tangent kernel holds / },
  ]) {
    const widths = [2, 20, 18, 1];
    const net = network({
      ...{ widths, activation: "tanh", parameterization: "standard" },
      ...{ weightScale: 1, biasScale: null },
    });
    using onDevice = uploadWeights(gpu, net, filled(widths, each));
    using columns = gpu.upload("inputs", 2, 30, new Float32Array(60).fill(input), true);
    const named = async (kernel: () => Promise<unknown>) => {
      const error = await kernel().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(NonFiniteError);
      expect((error as Error).message).toMatch(says);
    };
    await named(() => deviceKernel(gpu, net, onDevice, columns));
    await named(() => deviceKernel(gpu, net, onDevice, columns, { outputs: "trace" }));
    await named(async () => {
      using acts = await forward(gpu, net, onDevice, columns);
      await gram(gpu, net, onDevice, acts);
    });
  }
  expect(gpu.stats()).toMatchObject({ buffers: 0, bytes: 0 });
});

gpuTest("deviceKernel: what does not fit is refused before anything is allocated", async () => {
  using gpu = await openGpu({ limits: { maxStorageBufferBindingSize: 2 ** 16 } });
  const net = network({ ...SPEC, widths: [5, 8, 1] });
  using onDevice = uploadWeights(gpu, net, weights(net, 7));
  const before = gpu.stats();
  const kernel = deviceKernel(gpu, net, onDevice, normals(1, 200 * net.inputs));
  await expect(kernel).rejects.toMatchObject({ name: "GpuError", code: "limit" });
  expect(gpu.stats()).toEqual(before);
});
