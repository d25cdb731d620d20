// TensorFlow.js: eager operations with hand-written kernels for WebGPU, XNNPACK in wasm, gradients by a tape.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { gramByHand, layersOf } from "./layers.mjs";
import { fileOf } from "./packages.mjs";

const require = createRequire(import.meta.url);
const tf = require("@tensorflow/tfjs");

export const version = tf.version.tfjs;

/** @param {{ backend: "webgpu" | "wasm" }} options */
export async function open({ backend }) {
  if (backend === "webgpu") require("@tensorflow/tfjs-backend-webgpu");
  else {
    const { setWasmPaths } = require("@tensorflow/tfjs-backend-wasm");
    setWasmPaths(
      `${dirname(fileOf("@tensorflow/tfjs-backend-wasm", "dist/tfjs-backend-wasm.wasm"))}/`,
    );
  }
  if (!(await tf.setBackend(backend)))
    throw new Error(`tfjs: the backend ${backend} does not open.`);
  return {
    device: backend === "webgpu" ? tf.backend().device : null,
    threads: 1, // in Node its wasm has no more: the worker that it starts is a browser's
    entries: [
      { name: "tfjs", prepare: (work) => prepare(work, byJacobian) },
      {
        name: "tfjs by hand",
        prepare: (work) => (work.kind === "ntk" ? prepare(work, byHand) : null),
      },
    ],
  };
}

/**
 * a bᵀ. Faster than `matMul(a, b, false, true)`, which in wasm leaves XNNPACK for plain loops (six times slower) and in
 * WebGPU reads b across its rows (up to a third slower on lavapipe).
 */
const timesTransposed = (a, b) => tf.matMul(a, tf.transpose(b));

/** Sends what the WebGPU backend has recorded; it waits for 15 dispatches otherwise. */
function flush() {
  const backend = tf.backend();
  if (!backend.commandEncoder) return;
  backend.endComputePassEncoder();
  backend.submitQueue();
}

async function prepare(work, gramOf) {
  if (!["gemm", "jjt", "ntk", "step"].includes(work.kind)) return null;
  const operands = [];
  const upload = (data, shape) => {
    const tensor = tf.tensor(data, shape);
    operands.push(tensor);
    return tensor;
  };
  let call;
  if (work.kind === "gemm") {
    const a = upload(work.a, [work.n, work.k]);
    const b = upload(work.b, [work.k, work.m]);
    call = () => tf.matMul(a, b);
  } else if (work.kind === "jjt") {
    const j = upload(work.j, [work.n, work.k]);
    call = () => timesTransposed(j, j);
  } else {
    const layers = layersOf(work);
    const tensors = layers.map(({ weight, bias, fanIn, units }) => ({
      weight: upload(weight, [units, fanIn]),
      bias: bias && upload(bias, [units]),
    }));
    const inputs = upload(work.inputs, [work.n, layers[0].fanIn]);
    if (work.kind === "ntk") call = gramOf(layers, tensors, inputs, work.n);
    else {
      const targets = upload(work.targets, [work.n, layers.at(-1).units]);
      call = descent(layers, parametersOf(tensors), inputs, targets, work.rate);
    }
  }
  return {
    submit() {
      const result = tf.tidy(call);
      flush();
      return result;
    },
    async read(result) {
      const tensors = [result].flat();
      const values = new Float32Array(tensors.reduce((sum, { size }) => sum + size, 0));
      let at = 0;
      for (const tensor of tensors) {
        values.set(await tensor.data(), at);
        at += tensor.size;
      }
      return values;
    },
    free: (result) => tf.dispose(result),
    destroy: () => operands.forEach((tensor) => tensor.dispose()),
  };
}

const parametersOf = (tensors) =>
  tensors.flatMap(({ weight, bias }) => (bias ? [weight, bias] : [weight]));

/** Outputs of samples, one a row. */
function network(layers, x, parameters) {
  let a = x;
  let next = 0;
  for (const layer of layers) {
    const product = timesTransposed(a, parameters[next++]).mul(layer.scale);
    const z = layer.bias ? product.add(parameters[next++].mul(layer.shift)) : product;
    a = phi(layer, z);
  }
  return a;
}

/** Every parameter after one step of gradient descent. */
function descent(layers, parameters, inputs, targets, rate) {
  const gradients = tf.grads((...all) =>
    network(layers, inputs, all).sub(targets).square().sum().mul(0.5),
  );
  return () => gradients(parameters).map((gradient, p) => parameters[p].sub(gradient.mul(rate)));
}

/** J by reverse mode, one sample and output after another; H = Σ of J Jᵀ over the tensors of parameters. */
function byJacobian(layers, tensors, inputs, n) {
  const outputs = layers.at(-1).units;
  const parameters = parametersOf(tensors);
  const one = (x, output, all) => network(layers, x, all).slice([0, output], [1, 1]).asScalar();
  return () => {
    const blocks = parameters.map(() => []);
    for (let i = 0; i < n; i++)
      for (let output = 0; output < outputs; output++) {
        const x = inputs.slice([i, 0], [1, -1]);
        const gradients = tf.grads((...all) => one(x, output, all))(parameters);
        gradients.forEach((gradient, p) => blocks[p].push(gradient.flatten()));
      }
    return blocks
      .flatMap((rows) => panels(rows).map((panel) => timesTransposed(panel, panel)))
      .reduce((sum, term) => sum.add(term));
  };
}

/** Rows of gradients as matrices that fit one binding each. */
function panels(rows) {
  const limit = tf.backend().device?.limits.maxStorageBufferBindingSize ?? Infinity;
  const [length] = rows[0].shape;
  const width = Math.min(length, Math.floor(limit / 4 / rows.length));
  const starts = Array.from({ length: Math.ceil(length / width) }, (_, panel) => panel * width);
  return starts.map((start) =>
    tf.stack(rows.map((row) => row.slice(start, Math.min(width, length - start)))),
  );
}

const gaussian = (z) =>
  z
    .square()
    .mul(-0.5)
    .exp()
    .mul(1 / Math.sqrt(2 * Math.PI));
const below = (z) => z.mul(Math.SQRT1_2).erf().add(1).mul(0.5);

const PHI = {
  linear: (z) => z,
  relu: (z) => z.relu(),
  tanh: (z) => z.tanh(),
  gelu: (z) => z.mul(below(z)),
  erf: (z) => z.erf(),
  sigmoid: (z) => z.sigmoid(),
  silu: (z) => z.mul(z.sigmoid()),
  softplus: (z) => z.softplus(),
  sin: (z) => z.sin(),
  leaky_relu: (z, { slope }) => tf.leakyRelu(z, slope),
};

const SLOPES = {
  linear: (z) => tf.onesLike(z),
  relu: (z) => z.step(),
  tanh: (z) => tf.sub(1, z.tanh().square()),
  gelu: (z) => below(z).add(z.mul(gaussian(z))),
  erf: (z) =>
    z
      .square()
      .neg()
      .exp()
      .mul(2 / Math.sqrt(Math.PI)),
  sigmoid: (z) => z.sigmoid().mul(tf.sub(1, z.sigmoid())),
  silu: (z) => z.sigmoid().mul(z.mul(tf.sub(1, z.sigmoid())).add(1)),
  softplus: (z) => z.sigmoid(),
  sin: (z) => z.cos(),
  leaky_relu: (z, { slope }) => z.step(slope),
};

const phi = (layer, z) => PHI[layer.activation](z, layer);

const OPS = {
  matmul: (a, b) => tf.matMul(a, b),
  matmulT: (a, b) => timesTransposed(a, b),
  add: (a, b) => tf.add(a, b),
  mul: (a, b) => tf.mul(a, b),
  scale: (a, factor) => tf.mul(a, factor),
  shift: (a, summand) => tf.add(a, summand),
  reshape: (a, shape) => tf.reshape(a, shape),
  eye: (size) => tf.eye(size),
  phi,
  phiPrime: (layer, z) => SLOPES[layer.activation](z, layer),
};

const byHand = (layers, tensors, inputs, n) => () => gramByHand(OPS, layers, tensors, inputs, n);
