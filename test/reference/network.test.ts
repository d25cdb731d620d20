import { describe, expect, test } from "vitest";
import { ACTIVATIONS, phi, phiPrime, type ActivationName } from "./activations.ts";
import { assertWithin, U, UW } from "./compare.ts";
import { eigenvalues, normals, uniforms } from "./eigen.ts";
import {
  diagonal,
  fourAxes,
  gramBound,
  gramLayerwise,
  gramOfJacobian,
  quality,
  traceForm,
  type Pass,
} from "./gram.ts";
import { jacobian } from "./jacobian.ts";
import {
  backward,
  forward,
  layersOf,
  paramsOf,
  type Arithmetic,
  type ReferenceNetwork,
  type ReferenceWeights,
} from "./network.ts";
import { golden, GOLDEN } from "./npy.ts";

/**
 * The running bounds for two f64 evaluations, PyTorch's and ours: u = 2⁻⁵² counts both, φ within 8u
 * of its largest term.
 */
const F64: Partial<Arithmetic> = {
  u: 2 ** -52,
  epsPhi: (name, z, slope) => 2 ** -49 * (Math.abs(phi(name, slope, z)) + Math.abs(z)),
  epsPhiPrime: () => 2 ** -48,
};
/** An engine that sums blocks of 64. */
const blocks = (terms: number) => Math.min(terms, 64) + Math.ceil(terms / 64) + 4;

/**
 * max bound_ij/√(H_ii H_jj) under `blocks` and u = 2⁻²³; it grows with depth, as |W| |W| … does
 * against W W ….
 */
const BOUND_OF_H = {
  c1_circle_relu: 2e-5,
  c2_tanh_d2: 2.5e-3,
  c3_relu_o3: 1e-4,
  c6_gelu_deep5: 6e-2,
};

function network(
  widths: number[],
  name: ActivationName,
  rest: Partial<ReferenceNetwork> = {},
): ReferenceNetwork {
  return {
    widths,
    activation: widths.slice(2).map(() => name),
    parameterization: "ntk",
    weightScale: 1.3,
    biasScale: 0.4,
    fan: "in",
    negativeSlope: 0.2,
    ...rest,
  };
}

/** All parameters in the order of a row of J, as draws at initialization, exact in f32. */
function parameters(net: ReferenceNetwork, seed: number): Float64Array {
  const theta = Float64Array.from(normals(seed, paramsOf(net)));
  if (net.parameterization === "ntk") return theta;
  for (const { fanIn, fanOut, firstParam } of layersOf(net)) {
    const fan = net.fan === "in" ? fanIn : fanOut;
    for (let p = firstParam; p < firstParam + fanIn * fanOut; p++) {
      theta[p] = Math.fround((theta[p] * net.weightScale) / Math.sqrt(fan));
    }
  }
  return theta;
}

function weightsOf(net: ReferenceNetwork, theta: Float64Array): ReferenceWeights {
  return layersOf(net).map(({ fanIn, fanOut, firstParam }) => {
    const end = firstParam + fanIn * fanOut;
    const bias = net.biasScale === null ? null : theta.slice(end, end + fanOut);
    return { weight: theta.slice(firstParam, end), bias };
  });
}

function pass(
  net: ReferenceNetwork,
  theta: Float64Array,
  inputs: ArrayLike<number>,
  given: Partial<Arithmetic> = {},
): Pass {
  const weights = weightsOf(net, theta);
  const activations = forward(net, weights, inputs, inputs.length / net.widths[0], given);
  return { activations, signals: backward(net, weights, activations, given) };
}

function outputOf(net: ReferenceNetwork, theta: Float64Array, inputs: ArrayLike<number>) {
  const n = inputs.length / net.widths[0];
  return forward(net, weightsOf(net, theta), inputs, n).z.at(-1)!;
}

function jacobianOf(net: ReferenceNetwork, theta: Float64Array, inputs: ArrayLike<number>) {
  const { activations, signals } = pass(net, theta, inputs);
  return jacobian(net, activations, signals);
}

const sum = (values: ArrayLike<number>) => Array.from(values).reduce((s, x) => s + x, 0);
const scaleOf = (values: ArrayLike<number>) => Math.max(...Array.from(values, Math.abs));

describe("golden cases", () => {
  for (const name of GOLDEN) {
    test(`${name}: outputs, J and H by both routes are PyTorch's within f64 roundings`, () => {
      const { net, weights, inputs, n, outputs, params, out, ntk, jac } = golden(name);
      const activations = forward(net, weights, inputs, n, F64);
      const signals = backward(net, weights, activations, F64);
      const rows = jacobian(net, activations, signals, F64.u);
      const both = { activations, signals };
      expect(paramsOf(net)).toBe(params);
      expect(activations.ambiguous).toBe(0);
      assertWithin(activations.z.at(-1)!, out, activations.dz.at(-1)!, "out");
      if (jac !== null) assertWithin(rows.jac, jac, rows.bound, "jac");
      const bound = gramBound(net, params, both, both, F64.u);
      for (const gram of [gramOfJacobian(rows.jac, params), gramLayerwise(net, both)]) {
        assertWithin(gram, ntk, bound, "ntk");
        expect(quality(gram, ntk, diagonal(ntk))).toBeLessThan(1e-13);
      }
      expect(rows.rows).toBe(n * outputs);
    });

    test(`${name}: the eigenvalues of its H are the file's`, () => {
      const { ntk, eig } = golden(name);
      const values = eigenvalues(ntk, eig.length);
      assertWithin(values.reverse(), eig, eig.length * 2 ** -52 * eig.at(-1)!, "eig");
    });

    test(`${name}: under WGSL's rules no unit is ambiguous, and the bound of H is no looser than it was`, () => {
      const { net, weights, inputs, n, params, ntk } = golden(name);
      const activations = forward(net, weights, inputs, n, { chain: blocks });
      const signals = backward(net, weights, activations, { chain: blocks });
      expect(activations.ambiguous).toBe(0);
      const bound = gramBound(net, blocks(params) + 6, { activations, signals });
      const loose = quality(bound, new Float64Array(bound.length), diagonal(ntk));
      expect(loose).toBeLessThan(BOUND_OF_H[name]);
    });
  }

  test("tanh 2-3-4-1: u, H and its eigenvalues are the printed ones", () => {
    const net = network([2, 3, 4, 1], "tanh", { weightScale: Math.SQRT2, biasScale: 0.5 });
    const weights = [0, 1, 2].map((l) => ({
      weight: Array.from({ length: net.widths[l] * net.widths[l + 1] }, (_, at) => {
        const [o, i] = [Math.floor(at / net.widths[l]), at % net.widths[l]];
        return Math.sin(1 + 1.7 * l + 0.9 * o + 2.3 * i + 0.37 * o * i);
      }),
      bias: Array.from({ length: net.widths[l + 1] }, (_, o) => Math.cos(0.5 + l + 0.8 * o)),
    }));
    const inputs = [1, 0, Math.cos(1), Math.sin(1), -0.6, 0.8, 0.3, -1.2];
    const activations = forward(net, weights, inputs, 4);
    const signals = backward(net, weights, activations);
    const gram = gramLayerwise(net, { activations, signals });
    const u = [-0.229846952839, -0.434678467881, -0.494980112568, -0.254878374045];
    assertWithin(activations.z[2], u, 5e-13, "u");
    const upper = [
      [1.779633696332, 1.25368749971, 0.293373018392, 1.625583095442],
      [1.694100700052, 1.114303997116, 0.864250912062],
      [1.541772732519, 0.059448628147],
      [1.801878033201],
    ];
    upper.forEach((row, i) => {
      assertWithin(gram.slice(4 * i + i, 4 * i + 4), row, 5.1e-13, `H[${i}]`);
    });
    const printed = [4.50708085, 1.95948681, 0.2997336, 0.0510839];
    assertWithin(eigenvalues(gram, 4), printed, [5e-9, 5e-9, 5e-8, 5e-8], "eigenvalues");
  });

  test("c3: [n, n, O, O] holds H[i, j, a, b] = ⟨∇f_a(x_i), ∇f_b(x_j)⟩, and its trace form the mean over a = b", () => {
    const { net, weights, inputs, n, outputs, params, ntk } = golden("c3_relu_o3");
    const activations = forward(net, weights, inputs, n);
    const { jac } = jacobian(net, activations, backward(net, weights, activations));
    const four = fourAxes(ntk, n, n, outputs);
    const trace = traceForm(ntk, n, n, outputs);
    const row = (i: number, a: number) =>
      jac.subarray((i * outputs + a) * params, (i * outputs + a + 1) * params);
    const dot = (x: Float64Array, y: Float64Array) => sum(x.map((value, p) => value * y[p]));
    const [i, j] = [3, 11];
    const bound = params * 2 ** -52 * Math.max(...ntk);
    assertWithin(
      [four[((i * n + j) * 3 + 2) * 3]],
      [dot(row(i, 2), row(j, 0))],
      bound,
      "H[3, 11, 2, 0]",
    );
    const diagonalBlocks = [0, 1, 2].map((a) => dot(row(i, a), row(j, a)));
    assertWithin([trace[i * n + j]], [sum(diagonalBlocks) / 3], bound, "the mean over outputs");
  });
});

describe("J", () => {
  const h = 1e-5;
  for (const parameterization of ["ntk", "standard"] as const) {
    for (const fan of ["in", "out"] as const) {
      for (const biasScale of [0.4, 0, null]) {
        test(`${parameterization}, fan ${fan}, biasScale ${biasScale}: J is the central difference of f`, () => {
          for (const name of ACTIVATIONS) {
            const net = network([3, 5, 4, 2], name, { parameterization, fan, biasScale });
            const theta = parameters(net, 7);
            const inputs = normals(8, 4 * 3);
            const { jac, params, rows } = jacobianOf(net, theta, inputs);
            const difference = new Float64Array(rows * params);
            for (let p = 0; p < params; p++) {
              const [up, down] = [h, -h].map((step) => {
                const moved = theta.slice();
                moved[p] += step;
                return outputOf(net, moved, inputs);
              });
              for (let row = 0; row < rows; row++) {
                difference[row * params + p] = (up[row] - down[row]) / (2 * h);
              }
            }
            assertWithin(jac, difference, 1e-8 * scaleOf(jac), name);
          }
        });
      }
    }
  }

  test("hidden layers may have different activations", () => {
    const net = network([2, 3, 3, 1], "tanh", { activation: ["erf", "silu"] });
    const theta = parameters(net, 3);
    const inputs = [0.3, -0.8];
    const { a, z } = forward(net, weightsOf(net, theta), inputs, 1);
    assertWithin(
      a[1],
      z[0].map((x) => phi("erf", 0, x)),
      0,
      "layer 0",
    );
    assertWithin(
      a[2],
      z[1].map((x) => phi("silu", 0, x)),
      0,
      "layer 1",
    );
  });

  test("with the mask of the reference itself the signals do not change", () => {
    const net = network([3, 6, 5, 2], "leaky_relu");
    const weights = weightsOf(net, parameters(net, 5));
    const activations = forward(net, weights, normals(6, 9), 3);
    const mask = activations.z.slice(0, 2).map((z) => z.map((x) => (x > 0 ? 1 : 0)));
    const plain = backward(net, weights, activations);
    const masked = backward(net, weights, activations, { mask });
    masked.g.forEach((g, l) => assertWithin(g, plain.g[l], 0, `layer ${l}`));
  });

  test("a unit at the kink is ambiguous, and its bound covers the other mask", () => {
    const net = network([1, 1, 1], "relu", { biasScale: 1, weightScale: 1 });
    const weights = [
      { weight: [1], bias: [-0.3] },
      { weight: [2], bias: [0] },
    ];
    const activations = forward(net, weights, [0.3 + 1e-9], 1);
    expect(activations.ambiguous).toBe(1);
    const { jac, bound } = jacobian(net, activations, backward(net, weights, activations));
    const mask = [[0]];
    const other = backward(net, weights, activations, { mask });
    assertWithin(jacobian(net, activations, other).jac, jac, bound, "other mask");
  });
});

describe("laws", () => {
  const net = network([3, 7, 6, 2], "gelu");
  const theta = parameters(net, 11);
  const inputs = Float64Array.from(normals(12, 5 * 3));
  const one = pass(net, theta, inputs);
  const { jac, params } = jacobian(net, one.activations, one.signals);
  const gram = gramLayerwise(net, one);
  const close = (actual: ArrayLike<number>, exact: ArrayLike<number>, label: string) =>
    assertWithin(actual, exact, 1e-13 * scaleOf(exact), label);

  test("trace H = ‖J‖_F², and H is symmetric", () => {
    close([sum(diagonal(gram))], [sum(jac.map((x) => x * x))], "trace");
    close(
      gram.map((_, at) => gram[(at % 10) * 10 + Math.floor(at / 10)]),
      gram,
      "Hᵀ",
    );
  });

  test("both routes agree, on one set and between two", () => {
    close(gramOfJacobian(jac, params), gram, "one set");
    const two = pass(net, theta, normals(13, 3 * 3));
    const jac2 = jacobian(net, two.activations, two.signals).jac;
    close(gramLayerwise(net, one, two), gramOfJacobian(jac, params, jac2), "two sets");
  });

  test("H does not change when hidden units are permuted, nor when inputs and W_1 are rotated", () => {
    const weights = weightsOf(net, theta);
    const order = [3, 0, 6, 2, 5, 1, 4];
    const permuted = [
      {
        weight: order.flatMap((k) => Array.from(weights[0].weight).slice(3 * k, 3 * k + 3)),
        bias: order.map((k) => weights[0].bias![k]),
      },
      {
        weight: Array.from(weights[1].weight, (_, at) => {
          return weights[1].weight[Math.floor(at / 7) * 7 + order[at % 7]];
        }),
        bias: weights[1].bias,
      },
      weights[2],
    ];
    const [c, s] = [Math.cos(0.7), Math.sin(0.7)];
    const rotate = (values: ArrayLike<number>) =>
      Array.from(values, (x, at) => {
        if (at % 3 === 0) return c * x - s * values[at + 1];
        return at % 3 === 1 ? s * values[at - 1] + c * x : x;
      });
    const rotated = [{ ...weights[0], weight: rotate(weights[0].weight) }, ...weights.slice(1)];
    for (const [w, x] of [
      [permuted, inputs],
      [rotated, rotate(inputs)],
    ] as [ReferenceWeights, ArrayLike<number>][]) {
      const activations = forward(net, w, x, 5);
      const signals = backward(net, w, activations);
      close(gramLayerwise(net, { activations, signals }), gram, "H");
    }
  });

  test("Euler: ⟨θ_l, ∂f/∂θ_l⟩ = f for each layer of a bias-free ReLU network", () => {
    const relu = network([3, 7, 6, 2], "relu", { biasScale: null });
    const params_ = parameters(relu, 21);
    const f = outputOf(relu, params_, inputs);
    const { jac: rows, params: p } = jacobianOf(relu, params_, inputs);
    for (const { firstParam, fanIn, fanOut } of layersOf(relu)) {
      const end = firstParam + fanIn * fanOut;
      close(
        f.map((_, r) => {
          return sum(
            params_.slice(firstParam, end).map((t, k) => t * rows[r * p + firstParam + k]),
          );
        }),
        f,
        "⟨θ_l, ∂f/∂θ_l⟩",
      );
    }
  });

  test("bias-free ReLU: H(2x, 3x′) = 6 H(x, x′), and H_out = (d/O) H_in", () => {
    const relu = network([3, 7, 6, 2], "relu", { biasScale: null });
    const params_ = parameters(relu, 22);
    const once = pass(relu, params_, inputs);
    const twice = pass(
      relu,
      params_,
      inputs.map((x) => 2 * x),
    );
    const thrice = pass(
      relu,
      params_,
      inputs.map((x) => 3 * x),
    );
    const h = gramLayerwise(relu, once);
    close(
      gramLayerwise(relu, twice, thrice),
      h.map((x) => 6 * x),
      "H(2x, 3x′)",
    );
    const paper: ReferenceNetwork = { ...relu, fan: "out" };
    close(
      gramLayerwise(paper, pass(paper, params_, inputs)),
      h.map((x) => (3 / 2) * x),
      "H_out",
    );
  });

  test("one linear layer: H = (c² X Xᵀ + β²) ⊗ I", () => {
    for (const parameterization of ["ntk", "standard"] as const) {
      const linear = network([3, 2], "linear", { parameterization });
      const h = gramLayerwise(linear, pass(linear, parameters(linear, 31), inputs));
      const [c2, b2] = parameterization === "ntk" ? [1.3 ** 2 / 3, 0.16] : [1, 1];
      const exact = h.map((_, at) => {
        const [i, j] = [Math.floor(at / 10), at % 10];
        if (i % 2 !== j % 2) return 0;
        const [x, y] = [i, j].map((row) => inputs.slice(3 * (row >> 1), 3 * (row >> 1) + 3));
        return c2 * (x[0] * y[0] + x[1] * y[1] + x[2] * y[2]) + b2;
      });
      close(h, exact, parameterization);
    }
  });

  test("a deep linear network without biases: H = Σ_l c² … by products of W", () => {
    const deep = network([2, 3, 1], "linear", { biasScale: null, weightScale: 1 });
    const params_ = parameters(deep, 41);
    const [w1, w2] = weightsOf(deep, params_).map(({ weight }) => Array.from(weight));
    const x = [0.5, -1.5];
    const y = [2, 0.25];
    const xy = x[0] * y[0] + x[1] * y[1];
    const image = (v: number[]) => [0, 1, 2].map((k) => w1[2 * k] * v[0] + w1[2 * k + 1] * v[1]);
    const [ix, iy] = [image(x), image(y)];
    const middle = sum(ix.map((value, k) => value * iy[k]));
    const exact = (xy * sum(w2.map((w) => w * w)) + middle) / 6;
    const h = gramLayerwise(deep, pass(deep, params_, [...x, ...y]));
    close([h[1]], [exact], "H(x, y)");
  });

  test("a duplicate row gives bit-equal rows of H; a permutation of the samples permutes H bit by bit", () => {
    const order = [4, 1, 1, 0];
    const chosen = Float64Array.from({ length: 12 }, (_, at) => {
      return inputs[3 * order[Math.floor(at / 3)] + (at % 3)];
    });
    const h = gramLayerwise(net, pass(net, theta, chosen));
    const exact = h.map((_, at) => {
      const [i, j] = [Math.floor(at / 8), at % 8];
      return gram[(2 * order[i >> 1] + (i % 2)) * 10 + 2 * order[j >> 1] + (j % 2)];
    });
    assertWithin(h, exact, 0, "H");
  });

  test("one linear layer trained by descent: r_k = (I − ηH)^k r_0", () => {
    const linear = network([3, 2], "linear");
    const moved = parameters(linear, 51);
    const targets = normals(52, 10);
    const h = gramLayerwise(linear, pass(linear, moved, inputs));
    const eta = 0.1;
    let r = outputOf(linear, moved, inputs).map((u, i) => u - targets[i]);
    const { jac: rows, params: p } = jacobianOf(linear, moved, inputs);
    for (let step = 0; step < 10; step++) {
      const now = outputOf(linear, moved, inputs).map((u, i) => u - targets[i]);
      close(now, r, `step ${step}`);
      for (let k = 0; k < p; k++) moved[k] -= eta * sum(now.map((x, i) => x * rows[i * p + k]));
      r = r.map((x, i) => x - eta * sum(r.map((y, j) => h[i * 10 + j] * y)));
    }
  });

  test("‖u_1 − u_0 + ηHr‖ is divided by 4 when η is halved", () => {
    const u0 = outputOf(net, theta, inputs);
    const r = u0.map((u, i) => u - Math.sin(i));
    const miss = (eta: number) => {
      const moved = theta.map((t, k) => t - eta * sum(r.map((x, i) => x * jac[i * params + k])));
      const u1 = outputOf(net, moved, inputs);
      return Math.hypot(
        ...u1.map((u, i) => u - u0[i] + eta * sum(r.map((x, j) => gram[i * 10 + j] * x))),
      );
    };
    const ratio = miss(1e-4) / miss(5e-5);
    expect(Math.abs(ratio - 4)).toBeLessThan(0.02);
  });

  test("catapult: f′ = (1 − ηλ + η²f²/n) f and λ′ = λ + (ηf²/n)(ηλ − 4) for v·u/√n", () => {
    const width = 6;
    const two = network([1, width, 1], "linear", { biasScale: null, weightScale: 1 });
    let point = parameters(two, 61);
    const lambdaOf = () => gramLayerwise(two, pass(two, point, [1]))[0];
    let [f, lambda] = [outputOf(two, point, [1])[0], lambdaOf()];
    const eta = 2.5 / lambda;
    for (let step = 0; step < 5; step++) {
      const { jac: row } = jacobianOf(two, point, [1]);
      const now = outputOf(two, point, [1])[0];
      close([now, lambdaOf()], [f, lambda], `step ${step}`);
      point = point.map((t, k) => t - eta * now * row[k]);
      [f, lambda] = [
        (1 - eta * lambda + (eta * eta * f * f) / width) * f,
        lambda + ((eta * f * f) / width) * (eta * lambda - 4),
      ];
    }
  });
});

describe("running bounds", () => {
  /** Rounds to either neighbour in f32, by chance: what WGSL calls correctly rounded. */
  const either = (seed: number) => {
    const uniform = uniforms(seed);
    const bits = new Uint32Array(1);
    const float = new Float32Array(bits.buffer);
    return (x: number) => {
      const near = Math.fround(x);
      if (near === x || uniform() < 0.5) return near;
      float[0] = near;
      // The neighbour on the other side of x, counted in the order of magnitudes.
      bits[0] += Math.abs(near) < Math.abs(x) ? 1 : -1;
      return float[0];
    };
  };
  const modes: [string, number, (x: number) => number][] = [
    ["to nearest", U, Math.fround],
    ["to either neighbour", UW, either(99)],
    [
      "towards zero",
      UW,
      (x) => {
        const near = Math.fround(x);
        return Math.abs(near) > Math.abs(x) ? near * (1 - 2 ** -24) : near;
      },
    ],
  ];

  /**
   * A plain f32 engine: sums in blocks of 64, φ and φ′ in f64 rounded once, every other result
   * through `round`.
   */
  function engine(
    net: ReferenceNetwork,
    weights: ReferenceWeights,
    inputs: ArrayLike<number>,
    n: number,
    round: (x: number) => number,
  ) {
    const f32 = (x: number) => Math.fround(round(x));
    const dot = (terms: number, left: (p: number) => number, right: (p: number) => number) => {
      let total = 0;
      for (let start = 0; start < terms; start += 64) {
        let block = 0;
        for (let p = start; p < Math.min(start + 64, terms); p++) {
          block = f32(block + f32(left(p) * right(p)));
        }
        total = f32(total + block);
      }
      return total;
    };
    const layers = layersOf(net).map((layer) => ({
      ...layer,
      scale: Math.fround(layer.scale),
      biasScale: layer.biasScale === null ? null : Math.fround(layer.biasScale),
    }));
    const a: number[][] = [Array.from(inputs)];
    const z: number[][] = [];
    layers.forEach(({ fanIn, fanOut, scale, biasScale }, l) => {
      z.push(
        Array.from({ length: n * fanOut }, (_, at) => {
          const [i, k] = [Math.floor(at / fanOut), at % fanOut];
          const { weight, bias } = weights[l];
          const product = dot(
            fanIn,
            (p) => weight[k * fanIn + p],
            (p) => a[l][i * fanIn + p],
          );
          const scaled = f32(scale * product);
          return bias === null ? scaled : f32(scaled + f32(biasScale! * bias[k]));
        }),
      );
      if (l < layers.length - 1) {
        const slope = Math.fround(net.negativeSlope);
        a.push(z[l].map((x) => f32(phi(net.activation[l], slope, x))));
      }
    });
    const outputs = net.widths.at(-1)!;
    const rows = n * outputs;
    const g: number[][] = [];
    g[layers.length - 1] = Array.from({ length: rows * outputs }, (_, at) => {
      return Math.floor(at / outputs) % outputs === at % outputs ? 1 : 0;
    });
    for (let l = layers.length - 2; l >= 0; l--) {
      const { fanIn, fanOut, scale } = layers[l + 1];
      g[l] = Array.from({ length: rows * fanIn }, (_, at) => {
        const [row, j] = [Math.floor(at / fanIn), at % fanIn];
        const product = dot(
          fanOut,
          (p) => weights[l + 1].weight[p * fanIn + j],
          (p) => g[l + 1][row * fanOut + p],
        );
        const slope = Math.fround(net.negativeSlope);
        const unit = z[l][Math.floor(row / outputs) * fanIn + j];
        return f32(f32(scale * product) * f32(phiPrime(net.activation[l], slope, unit)));
      });
    }
    const params = paramsOf(net);
    const jac = new Float64Array(rows * params);
    layers.forEach(({ fanIn, fanOut, scale, biasScale, firstParam }, l) => {
      for (let row = 0; row < rows; row++) {
        const i = Math.floor(row / outputs);
        for (let k = 0; k < fanOut; k++) {
          const signal = g[l][row * fanOut + k];
          const scaled = f32(scale * signal);
          for (let j = 0; j < fanIn; j++) {
            jac[row * params + firstParam + k * fanIn + j] = f32(scaled * a[l][i * fanIn + j]);
          }
          if (biasScale !== null) {
            jac[row * params + firstParam + fanIn * fanOut + k] = f32(biasScale * signal);
          }
        }
      }
    });
    const gram = new Float64Array(rows * rows);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < rows; j++) {
        gram[i * rows + j] = dot(
          params,
          (p) => jac[i * params + p],
          (p) => jac[j * params + p],
        );
      }
    }
    return { z, a, g, jac, gram, params };
  }

  /** What `engine` does: one rounding for a product, min(K, 64) − 1 in a block, one a block. */
  const chain = (terms: number) => Math.min(terms, 64) + Math.ceil(terms / 64);
  const once: Partial<Arithmetic> = {
    chain,
    epsPhi: (name, z, slope) => 3 * UW * Math.abs(phi(name, slope, z)),
    epsPhiPrime: (name, z, slope) => 3 * UW * Math.abs(phiPrime(name, slope, z)),
  };

  for (const [mode, u, round] of modes) {
    test(`an f32 engine that rounds ${mode} stays within them, in every stage`, () => {
      for (const name of ACTIVATIONS) {
        for (const rest of [{}, { parameterization: "standard" as const, biasScale: null }]) {
          const net = network([5, 70, 12, 2], name, rest);
          const weights = weightsOf(net, parameters(net, 71));
          const inputs = normals(72, 4 * 5);
          const f32 = engine(net, weights, inputs, 4, round);
          const activations = forward(net, weights, inputs, 4, { ...once, u });
          const signals = backward(net, weights, activations, { ...once, u });
          const rows = jacobian(net, activations, signals, u);
          const exact = gramOfJacobian(rows.jac, rows.params);
          const both = { activations, signals };
          // J's entries: c, c·g and its product with a on either side; then the sum.
          const bound = gramBound(net, 6 + chain(rows.params), both, both, u);
          expect(activations.ambiguous, name).toBe(0);
          f32.z.forEach((z, l) => {
            assertWithin(z, activations.z[l], activations.dz[l], `${name}: z[${l}]`);
            assertWithin(f32.a[l], activations.a[l], activations.da[l], `${name}: a[${l}]`);
            assertWithin(f32.g[l], signals.g[l], signals.dg[l], `${name}: g[${l}]`);
          });
          assertWithin(f32.jac, rows.jac, rows.bound, `${name}: jac`);
          const { worst } = assertWithin(f32.gram, exact, bound, `${name}: gram`);
          expect(worst, `${name}: the bound of the gram is loose`).toBeGreaterThan(1e-3);
        }
      }
    });
  }

  test("an error of one part in 10³ in one weight does not pass", () => {
    const { net, weights, inputs, n } = golden("c2_tanh_d2");
    const activations = forward(net, weights, inputs, n, { chain: blocks });
    const wrong = weights.map(({ weight, bias }, l) => ({
      weight: Float64Array.from(weight, (w, at) => (l === 1 && at === 100 ? w * 1.001 : w)),
      bias,
    }));
    const actual = forward(net, wrong, inputs, n);
    expect(() => assertWithin(actual.z[1], activations.z[1], activations.dz[1], "z[1]")).toThrow(
      "z[1]",
    );
  });

  test("zero inputs without biases give zero bounds and no ambiguous unit", () => {
    const net = network([3, 4, 1], "relu", { biasScale: null });
    const { activations, signals } = pass(net, parameters(net, 81), new Float64Array(6));
    expect(activations.ambiguous).toBe(0);
    expect(scaleOf(activations.dz[1])).toBe(0);
    expect(scaleOf(signals.g[0])).toBe(0);
  });
});
