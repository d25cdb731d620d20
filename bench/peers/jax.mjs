// jax-js: kernels generated for WebGPU and wasm, jit, vmap and grad.
import { readFileSync } from "node:fs";
import { blockUntilReady, defaultDevice, getWebGPUDevice, init } from "@jax-js/jax";
import { grad, jit, lax, nn, numpy as np, scipySpecial, tree, vjp, vmap } from "@jax-js/jax";
import { gramByHand, layersOf } from "./layers.mjs";
import { fileOf } from "./packages.mjs";

export const { version } = JSON.parse(readFileSync(fileOf("@jax-js/jax", "package.json"), "utf8"));

/** @param {{ backend: "webgpu" | "wasm" }} options */
export async function open({ backend }) {
  const ready = await init(backend);
  if (!ready.includes(backend))
    throw new Error(`jax-js: the backend ${backend} did not open, only ${ready.join(", ")} did.`);
  defaultDevice(backend);
  const device = backend === "webgpu" ? getWebGPUDevice() : null;
  return {
    device,
    entries: [
      { name: "jax-js", prepare: (work) => prepare(device, work, byJacobian) },
      {
        name: "jax-js by hand",
        prepare: (work) => (work.kind === "ntk" ? prepare(device, work, byHand) : null),
      },
    ],
  };
}

const upload = (data, shape) => np.array(data.slice(), { shape });

async function prepare(device, work, kernelOf) {
  const operands = [];
  let jitted;
  let call;
  if (work.kind === "gemm") {
    operands.push(upload(work.a, [work.n, work.k]), upload(work.b, [work.k, work.m]));
    jitted = jit((a, b) => np.matmul(a, b));
    call = jitted;
  } else if (work.kind === "jjt") {
    operands.push(upload(work.j, [work.n, work.k]));
    jitted = jit((j) => np.matmul(j.ref, j.transpose()));
    call = jitted;
  } else if (work.kind === "eigh") {
    operands.push(upload(work.a, [work.n, work.n]));
    jitted = jit((a) => np.linalg.eigh(a));
    call = jitted;
  } else if (work.kind === "cholesky") {
    operands.push(upload(work.a, [work.n, work.n]));
    jitted = jit((a) => lax.linalg.cholesky(a));
    call = jitted;
  } else {
    const layers = layersOf(work);
    const tensors = layers.map(({ weight, bias, fanIn, units }) => ({
      weight: upload(weight, [units, fanIn]),
      ...(bias && { bias: upload(bias, [units]) }),
    }));
    operands.push(tensors);
    if (work.kind === "step") {
      operands.push(upload(work.inputs, [work.n, layers[0].fanIn]));
      operands.push(upload(work.targets, [work.n, layers.at(-1).units]));
      jitted = jit(descent(layers, work.rate));
      call = jitted;
      return held(device, operands, jitted, call);
    }
    const parts = kernelOf === byJacobian ? partsOf(device, layers, work.n) : 1;
    const rows = work.n / parts;
    const width = layers[0].fanIn;
    for (let part = 0; part < parts; part++)
      operands.push(
        upload(work.inputs.subarray(part * rows * width, (part + 1) * rows * width), [rows, width]),
      );
    jitted = jit(kernelOf(layers, rows));
    call = parts === 1 ? jitted : (all, ...inputs) => inPairs(jitted, all, inputs);
  }
  return held(device, operands, jitted, call);
}

/** A job whose result is one array or a tree of them. */
async function held(device, operands, jitted, call) {
  await blockUntilReady(operands);
  return {
    async submit() {
      const result = call(...operands.map((operand) => tree.ref(operand)));
      // On the device this only sees to it that everything is submitted; the threads of wasm are waited for.
      for (const array of tree.leaves(result))
        await (device ? array.ref.gpuBuffer() : array.blockUntilReady());
      return result;
    },
    async read(result) {
      const parts = [];
      for (const array of tree.leaves(result)) parts.push(await array.ref.data());
      const values = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
      let at = 0;
      for (const part of parts) {
        values.set(part, at);
        at += part.length;
      }
      return values;
    },
    free: (result) => tree.dispose(result),
    destroy() {
      tree.dispose(operands);
      jitted.dispose();
    },
  };
}

/** Every parameter after one step of gradient descent, weight and bias, layer by layer. */
function descent(layers, rate) {
  const loss = (tensors, x, y) => {
    let a = x;
    layers.forEach((layer, l) => {
      const { weight, bias } = tensors[l];
      const product = np.matmul(a, weight.transpose()).mul(layer.scale);
      a = PHI[layer.activation](bias ? product.add(bias.mul(layer.shift)) : product, layer);
    });
    const rest = a.sub(y);
    return rest.ref.mul(rest).sum().mul(0.5);
  };
  return (tensors, x, y) => {
    const gradients = grad(loss)(tree.ref(tensors), x, y);
    return tensors.flatMap(({ weight, bias }, l) => [
      weight.sub(gradients[l].weight.mul(rate)),
      ...(bias ? [bias.sub(gradients[l].bias.mul(rate))] : []),
    ]);
  };
}

/** In how many equal parts the samples go, for the largest tensor's block of J to fit one binding. */
function partsOf(device, layers, n) {
  const limit = device?.limits.maxStorageBufferBindingSize ?? Infinity;
  const largest = Math.max(...layers.map(({ fanIn, units }) => fanIn * units));
  const bytes = 4 * largest * layers.at(-1).units;
  let parts = Math.ceil((n * bytes) / limit);
  while (n % parts !== 0 && parts < n) parts += 1;
  return parts;
}

/** H from its blocks, one a pair of parts of the samples. */
function inPairs(block, tensors, inputs) {
  const blocks = inputs.map(() => []);
  inputs.forEach((left, i) =>
    inputs.forEach((right, j) => {
      blocks[i][j] =
        j < i ? blocks[j][i].ref.transpose() : block(tree.ref(tensors), left.ref, right.ref);
    }),
  );
  tree.dispose([tensors, inputs]);
  return np.concatenate(blocks.map((row) => np.concatenate(row, 1)));
}

/** J by reverse mode, one row a sample and output, one block a tensor of parameters; H = Σ of the blocks' J Jᵀ. */
function byJacobian(layers, n) {
  const outputs = layers.at(-1).units;
  const network = (tensors, x) => {
    let a = x;
    layers.forEach(({ scale, shift, activation }, l) => {
      const { weight, bias } = tensors[l];
      const product = np.matmul(weight, a).mul(scale);
      const z = bias ? product.add(bias.mul(shift)) : product;
      a = PHI[activation](z, layers[l]);
    });
    return a;
  };
  const gradient =
    outputs === 1
      ? grad((tensors, x) => network(tensors, x).sum())
      : (tensors, x) =>
          vmap((row) => {
            const [y, pull] = vjp((all) => network(all, x.ref), [tree.ref(tensors)]);
            y.dispose();
            return pull(row)[0];
          })(np.eye(outputs));
  const jacobian = (tensors, inputs) =>
    tree
      .leaves(vmap(gradient, [null, 0])(tensors, inputs))
      .map((block) => block.reshape([n * outputs, -1]));
  return (tensors, left, right) => {
    const rows = jacobian(tree.ref(tensors), left);
    const columns = right ? jacobian(tree.ref(tensors), right) : rows.map((block) => block.ref);
    tree.dispose(tensors);
    return rows
      .map((block, p) => np.matmul(block, columns[p].transpose()))
      .reduce((sum, term) => sum.add(term));
  };
}

/** Activations through which jax-js differentiates. */
const PHI = {
  linear: (z) => z,
  relu: (z) => nn.relu(z),
  tanh: (z) => np.tanh(z),
  gelu: (z) => nn.gelu(z, { approximate: false }),
  erf: (z) => scipySpecial.erf(z),
  sigmoid: (z) => nn.sigmoid(z),
  silu: (z) => nn.silu(z),
  softplus: (z) => nn.softplus(z),
  sin: (z) => np.sin(z),
  leaky_relu: (z, { slope }) => nn.leakyRelu(z, slope),
};

const gaussian = (z) => np.exp(z.ref.mul(z).mul(-0.5)).mul(1 / Math.sqrt(2 * Math.PI));
const below = (z) => scipySpecial.erfc(z.mul(-Math.SQRT1_2)).mul(0.5);

/** Their derivatives. */
const SLOPES = {
  linear: (z) => np.onesLike(z),
  relu: (z) => np.where(z.greater(0), 1, 0),
  tanh: (z) => {
    const t = np.tanh(z);
    return np.subtract(1, t.ref.mul(t));
  },
  gelu: (z) => below(z.ref).add(z.ref.mul(gaussian(z))),
  erf: (z) => np.exp(z.ref.mul(z).mul(-1)).mul(2 / Math.sqrt(Math.PI)),
  sigmoid: (z) => {
    const s = nn.sigmoid(z);
    return s.ref.mul(np.subtract(1, s));
  },
  silu: (z) => {
    const s = nn.sigmoid(z.ref);
    return s.ref.mul(z.mul(np.subtract(1, s)).add(1));
  },
  softplus: (z) => nn.sigmoid(z),
  sin: (z) => np.cos(z),
  leaky_relu: (z, { slope }) => np.where(z.greater(0), 1, slope),
};

/** Every operation takes its own reference to its arguments, as jax-js consumes them. */
const OPS = {
  matmul: (a, b) => np.matmul(a.ref, b.ref),
  matmulT: (a, b) => np.matmul(a.ref, b.ref.transpose()),
  add: (a, b) => a.ref.add(b.ref),
  mul: (a, b) => a.ref.mul(b.ref),
  scale: (a, factor) => a.ref.mul(factor),
  shift: (a, summand) => a.ref.add(summand),
  reshape: (a, shape) => a.ref.reshape(shape),
  eye: (size) => np.eye(size),
  phi: (layer, z) => PHI[layer.activation](z.ref, layer),
  phiPrime: (layer, z) => SLOPES[layer.activation](z.ref, layer),
};

const byHand = (layers, n) => (tensors, inputs) => gramByHand(OPS, layers, tensors, inputs, n);
