/** In which order, and in how few pieces, what is recorded reaches the device. */
import { expect, onTestFinished, vi } from "vitest";
import { forward, gram, network, uploadWeights, weights, type Gpu } from "../../src/index.ts";
import { openGpu } from "../../src/node.ts";
import { storeProduct } from "../../src/stages/0-product.ts";
import { tuned } from "../../src/stages/0-search.ts";
import { mirror } from "../../src/stages/3-gram.ts";
import { gpuTest } from "../gpu.ts";
import { normals } from "../reference/eigen.ts";

const meter = async () => {};

/** What the device is told from now on until the test ends. */
function told(gpu: Gpu): string[] {
  const log: string[] = [];
  const { queue } = gpu.device;
  const submit = queue.submit.bind(queue);
  const spy = vi.spyOn(queue, "submit").mockImplementation((buffers) => {
    const list = [...buffers];
    log.push(list.length > 0 ? "work" : "nothing");
    return submit(list);
  });
  onTestFinished(() => spy.mockRestore());
  return log;
}

/** A matrix whose end is told, too. */
function watched(gpu: Gpu, log: string[], name: string, rows: number, columns: number) {
  const matrix = gpu.matrix(name, rows, columns);
  const { buffer } = matrix;
  const destroy = buffer.destroy.bind(buffer);
  buffer.destroy = () => {
    log.push(`end of ${name}`);
    return destroy();
  };
  return matrix;
}

gpuTest("copies lie between what was recorded before and after them", async (gpu) => {
  using factor = gpu.upload("factor", 16, 16, normals(1, 256));
  using out = gpu.matrix("out", 16, 16);
  using copy = gpu.matrix("copy", 16, 16);
  const store = (scale: number) =>
    storeProduct(gpu, { buffers: { left: factor, right: factor, out }, scale }, meter);
  const log = told(gpu);
  await store(1);
  const [from, to] = [out.buffer, copy.buffer];
  gpu.queue.copy((encoder) => encoder.copyBufferToBuffer(from, 0, to, 0, out.bytes));
  await store(2);
  expect(log).toEqual([]);
  gpu.queue.submit();
  expect(log).toEqual(["work"]);
  const twice = await gpu.read(out);
  expect(await gpu.read(copy)).toEqual(twice.map((value) => value / 2));
  expect(twice.some((value) => value !== 0)).toBe(true);
});

gpuTest("what recorded work needs is destroyed after it was sent", async (gpu) => {
  const factor = gpu.upload("factor", 16, 16, normals(1, 256));
  using out = gpu.matrix("out", 16, 16);
  gpu.queue.submit();
  const log = told(gpu);
  const right = watched(gpu, log, "right", 16, 16);
  await storeProduct(gpu, { buffers: { left: factor, right, out } }, meter);
  right.destroy();
  factor.destroy();
  expect(log).toEqual([]);
  gpu.queue.submit();
  expect(log).toEqual(["work", "end of right"]);
  expect((await gpu.read(out)).every((value) => value === 0)).toBe(true);
});

gpuTest("memory that is worth it is given back at once", async (gpu) => {
  gpu.queue.submit();
  const log = told(gpu);
  watched(gpu, log, "small", 16, 16).destroy();
  expect(log).toEqual([]);
  watched(gpu, log, "large", 1100, 1100).destroy();
  expect(log).toEqual(["end of small", "end of large", "nothing"]);
});

gpuTest("an idle device is sent what there is, but not without end", async () => {
  using gpu = await openGpu();
  using matrix = gpu.upload("matrix", 16, 16, normals(1, 256));
  await tuned(gpu);
  // As if each took a little more than a millisecond: the device seems to have run dry before the next.
  const flops = 1e6;
  gpu.queue.expect(flops / 1.01);
  const log = told(gpu);
  const follow = gpu.queue.meter(undefined, "gram", 20 * flops);
  for (let i = 0; i < 20; i++) {
    mirror(gpu, { dims: { n: 16 }, buffers: { matrix }, groups: [1, 4], flops });
    await follow(flops);
    if (i === 0) expect(log).toEqual(["work"]);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(log).toEqual(["work", "work"]);
});

gpuTest(
  "a kernel takes one submission forward and one for the rest, and one for what is read of each",
  async (gpu) => {
    const net = network({
      widths: [6, 32, 32, 1],
      activation: "tanh",
      parameterization: "ntk",
      weightScale: 1,
      biasScale: 0.2,
    });
    using onDevice = uploadWeights(gpu, net, weights(net, 3));
    const inputs = normals(2, 6 * 20);
    const kernel = async () => {
      using acts = await forward(gpu, net, onDevice, inputs);
      using h = await gram(gpu, net, onDevice, acts);
      expect(h.rows).toBe(20);
    };
    await kernel();
    const log = told(gpu);
    await kernel();
    expect(log.filter((each) => each === "work")).toEqual(["work", "work", "work", "work"]);
  },
);

gpuTest("a read-back that gets no memory leaves what was recorded before it whole", async () => {
  using gpu = await openGpu();
  using factor = gpu.upload("factor", 16, 16, normals(1, 256));
  using out = gpu.matrix("out", 16, 16);
  await storeProduct(gpu, { buffers: { left: factor, right: factor, out } }, meter);
  const { device } = gpu;
  const create = device.createBuffer.bind(device);
  // An invalid buffer, as a device hands out where its memory is used up.
  const spy = vi
    .spyOn(device, "createBuffer")
    .mockImplementationOnce((about) => create({ ...about, size: 2 ** 52 }));
  await expect(gpu.read(out)).rejects.toThrow();
  spy.mockRestore();
  await expect(gpu.settle(Promise.resolve())).rejects.toThrow("read-back");
  const values = await gpu.read(out);
  expect(values.some((value) => value !== 0)).toBe(true);
});
