// onnxruntime-web: fixed graphs of operators; no gradients, so the tangent kernel only by hand.
import { readFileSync } from "node:fs";
import { gramByHand, layersOf } from "./layers.mjs";
import { Graph } from "./onnx.mjs";
import { fileOf } from "./packages.mjs";

export const { version } = JSON.parse(
  readFileSync(fileOf("onnxruntime-web", "package.json"), "utf8"),
);

/** @param {{ backend: "webgpu" | "wasm", threads: number }} options */
export async function open({ backend, threads }) {
  const webgpu = backend === "webgpu";
  const ort = await import(webgpu ? "onnxruntime-web/webgpu" : "onnxruntime-web");
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = webgpu ? 1 : threads;
  if (webgpu) {
    // Read here, as Node's fetch does not read files.
    const file = "dist/ort-wasm-simd-threaded.asyncify.wasm";
    ort.env.wasm.wasmBinary = readFileSync(fileOf("onnxruntime-web", file));
    // The device is there once a session is.
    const graph = new Graph();
    graph.output(graph.node("Relu", [graph.input("x", [1, 1])]), [1, 1]);
    await session(ort, backend, graph);
  }
  const device = webgpu ? await ort.env.webgpu.device : null;
  const context = { ort, backend, device };
  return {
    device,
    entries: [
      {
        name: "onnxruntime-web",
        prepare: (work) => (work.kind === "ntk" ? null : prepare(context, work)),
      },
      {
        name: "onnxruntime-web by hand",
        prepare: (work) => (work.kind === "ntk" ? prepare(context, work) : null),
      },
    ],
  };
}

const session = (ort, backend, graph) =>
  ort.InferenceSession.create(graph.bytes(), {
    executionProviders: [backend],
    ...(backend === "webgpu" && { preferredOutputLocation: "gpu-buffer" }),
  });

async function prepare({ ort, backend, device }, work) {
  if (!["gemm", "jjt", "ntk"].includes(work.kind)) return null;
  const graph = new Graph();
  const feeds = {};
  const buffers = [];
  /** An operand that is on the device before the clock starts. */
  const upload = (name, data, dims) => {
    if (device) {
      const buffer = device.createBuffer({
        size: 16 * Math.ceil(data.byteLength / 16),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      device.queue.writeBuffer(buffer, 0, data);
      buffers.push(buffer);
      feeds[name] = ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
    } else feeds[name] = new ort.Tensor("float32", data.slice(), dims);
    return graph.input(name, dims);
  };

  let result;
  let size;
  if (work.kind === "gemm") {
    const { n, k, m } = work;
    size = [n, m];
    result = graph.node("MatMul", [upload("a", work.a, [n, k]), upload("b", work.b, [k, m])]);
  } else if (work.kind === "jjt") {
    const { n, k } = work;
    size = [n, n];
    const j = upload("j", work.j, [n, k]);
    result = graph.node("Gemm", [j, j], { transB: 1 });
  } else {
    const layers = layersOf(work);
    const inputs = upload("x", work.inputs, [work.n, layers[0].fanIn]);
    const tensors = layers.map(({ weight, bias, fanIn, units }) => ({
      weight: graph.constant(weight, [units, fanIn]),
      bias: bias && graph.constant(bias, [units]),
    }));
    const rows = work.n * layers.at(-1).units;
    size = [rows, rows];
    result = gramByHand(operations(graph), layers, tensors, inputs, work.n);
  }
  graph.output(result, size);
  const model = await session(ort, backend, graph);
  return {
    submit: async () => (await model.run(feeds))[result],
    read: async (tensor) => Float32Array.from(await tensor.getData()),
    free: (tensor) => tensor.dispose(),
    async destroy() {
      await model.release();
      buffers.forEach((buffer) => buffer.destroy());
    },
  };
}

/** The operations of `gramByHand` as nodes of a graph. */
function operations(graph) {
  const number = (value) => graph.constant([value], []);
  const one = (operator) => (a) => graph.node(operator, [a]);
  const two = (operator) => (a, b) => graph.node(operator, [a, b]);
  const [add, sub, mul] = ["Add", "Sub", "Mul"].map(two);
  const [exp, erf, tanh, neg] = ["Exp", "Erf", "Tanh", "Neg"].map(one);
  const sigmoid = one("Sigmoid");
  const scale = (a, factor) => mul(a, number(factor));
  const shift = (a, summand) => add(a, number(summand));
  const below = (z) => scale(shift(erf(scale(z, Math.SQRT1_2)), 1), 0.5);
  const step = (z, low) =>
    graph.node("Where", [graph.node("Greater", [z, number(0)]), number(1), number(low)]);
  const phi = {
    linear: (z) => z,
    relu: one("Relu"),
    tanh,
    gelu: (z) => mul(z, below(z)),
    erf,
    sigmoid,
    silu: (z) => mul(z, sigmoid(z)),
    softplus: one("Softplus"),
    sin: one("Sin"),
    leaky_relu: (z, { slope }) => graph.node("LeakyRelu", [z], { alpha: slope }),
  };
  const slopes = {
    relu: (z) => step(z, 0),
    leaky_relu: (z, { slope }) => step(z, slope),
    silu: (z) => mul(sigmoid(z), shift(mul(z, sub(number(1), sigmoid(z))), 1)),
    tanh: (z) => sub(number(1), mul(tanh(z), tanh(z))),
    gelu: (z) =>
      add(below(z), mul(z, scale(exp(scale(mul(z, z), -0.5)), 1 / Math.sqrt(2 * Math.PI)))),
    erf: (z) => scale(exp(neg(mul(z, z))), 2 / Math.sqrt(Math.PI)),
    sigmoid: (z) => mul(sigmoid(z), sub(number(1), sigmoid(z))),
    softplus: sigmoid,
    sin: one("Cos"),
  };
  return {
    matmul: two("MatMul"),
    matmulT: (a, b) => graph.node("Gemm", [a, b], { transB: 1 }),
    add,
    mul,
    scale,
    shift,
    reshape: (a, shape) => graph.node("Reshape", [a, graph.integers(shape)]),
    eye: (size) =>
      graph.constant(
        Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
        [size, size],
      ),
    phi: (layer, z) => phi[layer.activation](z, layer),
    phiPrime: (layer, z) => slopes[layer.activation](z, layer),
  };
}
