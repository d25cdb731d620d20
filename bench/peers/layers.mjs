// A network as the packages need it, and the tangent kernel written with matrix products.

/**
 * @typedef {{ widths: number[], activation: string | string[], parameterization: "ntk" | "standard",
 *   weightScale: number, biasScale: number | null, fan?: "in" | "out", negativeSlope?: number }} Spec
 * @typedef {{ fanIn: number, units: number, scale: number, shift: number | null, activation: string,
 *   slope: number, weight: Float32Array, bias: Float32Array | null }} Layer  z = scale · W a + shift · b; shift is null without biases
 */

/**
 * The layers of a network, first to last; the last one's activation is `linear`.
 *
 * @param {{ spec: Spec, weights: { weight: Float32Array, bias?: Float32Array | null }[] }} work
 * @returns {Layer[]}
 */
export function layersOf({ spec, weights }) {
  const { widths, activation, parameterization, weightScale, biasScale } = spec;
  return weights.map(({ weight, bias }, index) => {
    const fanIn = widths[index];
    const units = widths[index + 1];
    const fan = spec.fan === "out" ? units : fanIn;
    const last = index === weights.length - 1;
    return {
      fanIn,
      units,
      scale: parameterization === "ntk" ? weightScale / Math.sqrt(fan) : 1,
      shift: biasScale === null ? null : parameterization === "ntk" ? biasScale : 1,
      activation: last ? "linear" : Array.isArray(activation) ? activation[index] : activation,
      slope: spec.negativeSlope ?? 0.01,
      weight,
      bias: biasScale === null ? null : (bias ?? null),
    };
  });
}

/**
 * H = Σ_l (c² A Aᵀ + β²) ∘ (G Gᵀ), [n·O, n·O], in a package's own operations: what someone who knows the formula
 * would write by hand.
 *
 * @param ops matmul(a, b) = a b, matmulT(a, b) = a bᵀ, add, mul (both broadcast), scale(a, number),
 *   shift(a, number), reshape(a, shape), eye(size), phi(layer, z), phiPrime(layer, z)
 * @param {Layer[]} layers
 * @param tensors the weights and biases on the device, in the layers' order
 * @param x the inputs, [n, widths[0]]
 * @param {number} n
 */
export function gramByHand(ops, layers, tensors, x, n) {
  const acts = [x];
  const slopes = [];
  layers.slice(0, -1).forEach((layer, l) => {
    const product = ops.scale(ops.matmulT(acts[l], tensors[l].weight), layer.scale);
    const z = layer.bias ? ops.add(product, ops.scale(tensors[l].bias, layer.shift)) : product;
    acts.push(ops.phi(layer, z));
    slopes.push(ops.phiPrime(layer, z));
  });

  const outputs = layers.at(-1).units;
  const rows = n * outputs;
  let signals = null; // ∂f/∂z of the layer, [n·O, units]; null: the identity of the last layer
  let gram = null;
  for (let l = layers.length - 1; l >= 0; l--) {
    const { scale, shift, fanIn } = layers[l];
    let term = ops.scale(ops.matmulT(acts[l], acts[l]), scale * scale);
    if (shift) term = ops.shift(term, shift * shift);
    if (outputs > 1) term = ops.reshape(term, [n, 1, n, 1]);
    if (signals === null) {
      if (outputs > 1)
        term = ops.reshape(ops.mul(term, ops.reshape(ops.eye(outputs), [1, outputs, 1, outputs])), [
          rows,
          rows,
        ]);
    } else {
      const between = ops.matmulT(signals, signals);
      term =
        outputs === 1
          ? ops.mul(term, between)
          : ops.reshape(ops.mul(term, ops.reshape(between, [n, outputs, n, outputs])), [
              rows,
              rows,
            ]);
    }
    gram = gram === null ? term : ops.add(gram, term);
    if (l === 0) break;
    const down =
      signals === null
        ? ops.scale(tensors[l].weight, scale)
        : ops.scale(ops.matmul(signals, tensors[l].weight), scale);
    if (outputs === 1) signals = ops.mul(down, slopes[l - 1]);
    else {
      const shape = signals === null ? [1, outputs, fanIn] : [n, outputs, fanIn];
      const slope = ops.reshape(slopes[l - 1], [n, 1, fanIn]);
      signals = ops.reshape(ops.mul(ops.reshape(down, shape), slope), [rows, fanIn]);
    }
  }
  return gram;
}
