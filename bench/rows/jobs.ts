import {
  backward,
  deviceKernel,
  forward,
  gramPair,
  network,
  normals,
  planGram,
  tangentKernel,
  uploadWeights,
  weights,
  type Activations,
  type Gpu,
  type NetworkSpec,
  type Signals,
} from "../../src/index.ts";
import { activationError } from "../../src/stages/0-activation.ts";
import {
  exact,
  referenceNetwork,
  roundings,
  type Problem,
  type Reference,
} from "../../test/conformance/problem.ts";
import { layersOf } from "../../test/reference/network.ts";
import type { Row } from "../run.ts";
import { bySample, bytesOf } from "./operands.ts";
import { gamma, quotient, worse } from "./verify.ts";

/** Whole tangent kernels, from weights and inputs on the device to H on the device; of two, also in pairs of f32. */
export const jobRows: readonly Row[] = [
  jobRow("relu", [784, 512, 512, 1], 256),
  pairRow("relu", [784, 512, 512, 1], 256),
  jobRow("tanh", [64, 256, 256, 256, 1], 512),
  jobRow("gelu", [32, 512, 512, 1], 1024),
  jobRow("tanh", [32, 256, 256, 10], 64),
  pairRow("tanh", [32, 256, 256, 10], 64),
  jobRow("relu", [784, 512, 512, 1], 2048),
  pairRow("relu", [784, 512, 512, 1], 2048),
];

type Phi = "relu" | "tanh" | "gelu";

/** A network, its operands, and what its kernel costs: the passes, and the products of H. */
function job(activation: Phi, widths: readonly number[], n: number) {
  const spec: NetworkSpec = {
    ...{ widths, activation, parameterization: "ntk", biasScale: 0.1 },
    weightScale: activation === "relu" ? Math.SQRT2 : 1,
  };
  const net = network(spec);
  const order = n * net.outputs;
  const draw = () => ({ weights: weights(net, 0), inputs: normals(1, n * net.inputs) });
  const parameters = net.layers.reduce((sum, { fanIn, units }) => sum + fanIn * units, 0);
  const grams = net.layers.reduce(
    (sum, { fanIn, units }) => sum + 2 * n * n * fanIn + 2 * order * order * units,
    0,
  );
  const [first] = net.layers;
  const back = parameters - first.fanIn * first.units;
  // By layers, without J; forward, backward, and each layer's two products in full.
  const passes = 2 * n * parameters + 2 * order * back;
  const given = bytesOf(n, net.inputs) + 4 * net.parameters;
  return { spec, net, draw, passes, grams, given, out: bytesOf(order, order) };
}

function jobRow(activation: Phi, widths: readonly number[], n: number): Row {
  const { spec, net, draw, passes, grams, given, out } = job(activation, widths, n);
  return {
    name: `ntk ${activation} ${widths.join("-")}`,
    size: { n },
    flops: passes + grams,
    bytes: given + out,
    traffic: "read",
    work: () => ({ kind: "ntk", spec, n, ...draw() }),
    make(gpu) {
      const { weights, inputs } = draw();
      const onDevice = uploadWeights(gpu, net, weights);
      const columns = gpu.upload("inputs", net.inputs, n, inputs, true);
      return {
        waits: true,
        async run() {
          (await deviceKernel(gpu, net, onDevice, columns)).destroy();
        },
        destroy() {
          onDevice.destroy();
          columns.destroy();
        },
        async check() {
          using h = await tangentKernel(gpu, net, weights, inputs);
          return checkKernel(gpu, { spec, weights, inputs }, await gpu.read(h));
        },
      };
    },
  };
}

/** The same kernel in pairs, its factors' leading directions taken out before they are multiplied. */
function pairRow(activation: Phi, widths: readonly number[], n: number): Row {
  const { spec, net, draw, passes, grams, given, out } = job(activation, widths, n);
  return {
    name: `pair of ntk ${activation} ${widths.join("-")}`,
    size: { n },
    flops: passes + grams,
    bytes: given + 2 * out,
    traffic: "read",
    against: jobRow(activation, widths, n),
    make(gpu) {
      const { weights, inputs } = draw();
      const onDevice = uploadWeights(gpu, net, weights);
      const columns = gpu.upload("inputs", net.inputs, n, inputs, true);
      return {
        waits: true,
        async run() {
          using acts = await forward(gpu, net, onDevice, columns);
          using signals = await backward(gpu, net, onDevice, acts);
          (await gramPair(gpu, net, acts, [signals])).destroy();
        },
        destroy() {
          onDevice.destroy();
          columns.destroy();
        },
        async check() {
          using acts = await forward(gpu, net, onDevice, columns);
          using signals = await backward(gpu, net, onDevice, acts);
          using pair = await gramPair(gpu, net, acts, [signals]);
          const [high, low] = [await gpu.read(pair.high), await gpu.read(pair.low)];
          if (!isSymmetric(high) || !isSymmetric(low)) return Infinity;
          const reference = await stored(gpu, spec, acts, signals);
          const k = roundings(reference.net, { method: "layerwise", panels: null });
          const sum = Float64Array.from(high, (value, at) => value + low[at]);
          return judgeKernel(reference, gamma(k), sum);
        },
      };
    },
  };
}

/** Activations and signals as the device holds them, taken as exact. */
async function stored(
  gpu: Gpu,
  spec: NetworkSpec,
  acts: Activations,
  signals: Signals,
): Promise<Reference> {
  const outputs = spec.widths[spec.widths.length - 1];
  const none = (list: readonly Float64Array[]) =>
    list.map(({ length }) => new Float64Array(length));
  const [a, g] = [await bySample(gpu, acts.a), await bySample(gpu, signals.g)];
  const { n } = acts;
  return {
    ...{ net: referenceNetwork(spec), n, outputs },
    pass: {
      activations: { n, a, da: none(a), z: [], dz: [], ambiguous: 0 },
      signals: { rows: n * outputs, g, dg: none(g) },
    },
  };
}

/** The largest error ÷ bound of a tangent kernel: symmetric to the bit; else as `judgeKernel`, from f64 passes. */
function checkKernel(gpu: Gpu, problem: Problem, found: Float32Array): number {
  const reference = exact(problem, {
    epsPhi: (name, z, slope) => activationError(name, slope, z).value,
    epsPhiPrime: (name, z, slope) => activationError(name, slope, z).derivative,
  });
  const { method, panels } = planGram(gpu, network(problem.spec), reference.n, 0);
  if (!isSymmetric(found)) return Infinity;
  return judgeKernel(reference, gamma(roundings(reference.net, { method, panels })), found);
}

/** Whether a square matrix is symmetric to the bit. */
function isSymmetric(values: Float32Array): boolean {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const order = Math.sqrt(bits.length);
  for (let i = 0; i < order; i++)
    for (let j = 0; j < i; j++) if (bits[i * order + j] !== bits[j * order + i]) return false;
  return true;
}

/**
 * The largest error ÷ bound of a tangent kernel: some columns entry by entry; for every row Σ_j ± H[i, j] against the
 * sum of the bounds. The bound is the rounding bound carried through the network.
 *
 * @param rounding of the sums from activations and signals to H, relative to those of sizes
 */
function judgeKernel(
  reference: Reference,
  rounding: number,
  found: Float32Array | Float64Array,
): number {
  const { n, outputs } = reference;
  const order = n * outputs;
  if (found.length !== order * order) return Infinity;
  const forms = { value: (value: number) => value, size: Math.abs, upper: largest };
  let worst = 0;
  const judge = (
    actual: (i: number) => number,
    of: (form: (value: number, bound: number) => number, signed: boolean) => Float64Array,
  ) => {
    const exactly = of(forms.value, true);
    const sizes = of(forms.size, false);
    const uppers = of(forms.upper, false);
    for (let i = 0; i < order; i++) {
      const bound = uppers[i] - sizes[i] + rounding * sizes[i];
      worst = worse(worst, quotient(actual(i) - exactly[i], bound));
    }
  };
  const signs = Float64Array.from({ length: order }, (_, j) =>
    Math.imul(j + 1, 0x9e3779b1) & 0x10000 ? 1 : -1,
  );
  const ones = new Float64Array(order).fill(1);
  judge(
    (i) => {
      let sum = 0;
      for (let j = 0; j < order; j++) sum += signs[j] * found[i * order + j];
      return sum;
    },
    (form, signed) => timesKernel(reference, signed ? signs : ones, form),
  );
  for (const column of [0, 1, Math.floor(order / 3), Math.floor(order / 2), order - 2, order - 1])
    judge(
      (i) => found[i * order + column],
      (form) => kernelColumn(reference, column, form),
    );
  return worst;
}

/** What becomes of an activation or a signal and its bound, before it is multiplied. */
type Form = (value: number, bound: number) => number;

const largest: Form = (value, bound) => Math.abs(value) + bound;

/** Activations and signals of every layer through `form`, with the factors of their products. */
const formed = ({ net, pass }: Reference, form: Form) =>
  layersOf(net).map(({ fanIn, fanOut, scale, biasScale }, l) => ({
    ...{ fanIn, fanOut, scale: scale * scale, shift: (biasScale ?? 0) ** 2 },
    a: pass.activations.a[l].map((value, at) => form(value, pass.activations.da[l][at])),
    g: pass.signals.g[l].map((value, at) => form(value, pass.signals.dg[l][at])),
  }));

/** One column of H: Σ_l (c² a_iᵀ a_j + β²) g_iᵀ g_j. */
function kernelColumn(reference: Reference, column: number, form: Form): Float64Array {
  const { n, outputs } = reference;
  const out = new Float64Array(n * outputs);
  const dot = (values: Float64Array, width: number, i: number, j: number): number => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += values[i * width + k] * values[j * width + k];
    return sum;
  };
  const sample = (row: number) => Math.floor(row / outputs);
  for (const { fanIn, fanOut, scale, shift, a, g } of formed(reference, form))
    for (let i = 0; i < out.length; i++)
      out[i] +=
        (scale * dot(a, fanIn, sample(i), sample(column)) + shift) * dot(g, fanOut, i, column);
  return out;
}

/** H v without H: Σ_l c² a_iᵀ (Σ_j v_j a_j g_jᵀ) g_i + β² g_iᵀ Σ_j v_j g_j. */
function timesKernel(reference: Reference, vector: Float64Array, form: Form): Float64Array {
  const { outputs } = reference;
  const out = new Float64Array(vector.length);
  for (const { fanIn, fanOut, scale, shift, a, g } of formed(reference, form)) {
    // One row more than the activations: that of the bias.
    const middle = new Float64Array((fanIn + 1) * fanOut);
    for (let j = 0; j < vector.length; j++) {
      const sample = Math.floor(j / outputs) * fanIn;
      for (let p = 0; p <= fanIn; p++) {
        const factor = vector[j] * (p < fanIn ? scale * a[sample + p] : shift);
        if (factor === 0) continue;
        for (let q = 0; q < fanOut; q++) middle[p * fanOut + q] += factor * g[j * fanOut + q];
      }
    }
    for (let i = 0; i < out.length; i++) {
      const sample = Math.floor(i / outputs) * fanIn;
      for (let p = 0; p <= fanIn; p++) {
        const factor = p < fanIn ? a[sample + p] : 1;
        if (factor === 0) continue;
        let sum = 0;
        for (let q = 0; q < fanOut; q++) sum += middle[p * fanOut + q] * g[i * fanOut + q];
        out[i] += factor * sum;
      }
    }
  }
  return out;
}
