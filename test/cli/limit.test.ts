import { expect, test } from "vitest";
import { assertWithin } from "../reference/compare.ts";
import { eigenvalues } from "../reference/eigen.ts";
import { limitPair } from "../reference/limit.ts";
import { Folder } from "./run.ts";

const folder = new Folder();
const net = {
  widths: [2, 16, 16, 3],
  activation: ["gelu", "relu"],
  parameterization: "ntk",
  weightScale: 1.4,
  biasScale: 0.2,
} as const;
folder.network("net.json", net);
folder.network("flat.json", {
  ...net,
  activation: "relu",
  weightScale: Math.SQRT2,
  biasScale: null,
});
folder.network("out.json", { ...net, fan: "out" });
folder.network("tanh.json", { ...net, activation: "tanh" });
const X = Float32Array.of(1, 0, 0.6, -0.8, -1, 0.5);
const X2 = Float32Array.of(0.25, 2, -0.5, 1);
folder.array("X.npy", [3, 2], X);
folder.array("X2.npy", [2, 2], X2);
folder.array("far.npy", [1, 2], [1e3, 1e3]);
const run = "limit --network net.json --inputs X.npy";
// No command may open a device here.
const nowhere = { NTK_ADAPTER: "none such" };

const exact = (x: Float32Array, y: Float32Array, kernel: "ntk" | "nngp") => {
  const rows = (values: Float32Array) =>
    Array.from({ length: values.length / 2 }, (_, i) => values.subarray(2 * i, 2 * i + 2));
  const reference = { ...net, fan: "in", negativeSlope: 0 } as const;
  return rows(x).flatMap((a) => rows(y).map((b) => limitPair(reference, a, b)[kernel]));
};

test.concurrent(
  "limit: Θ in f64, between the samples and to a second set, without a device",
  async () => {
    const [one, two] = [
      await folder.ntk(`${run} --out K.npy --json`, nowhere),
      await folder.ntk(`${run} --inputs2 X2.npy --kernel nngp --out C.npy --json`, nowhere),
    ];
    expect([one.status, one.stderr, two.status, two.stderr]).toEqual([0, "", 0, ""]);
    expect(JSON.parse(one.stdout)).toMatchObject({
      n: 3,
      shape: [3, 3],
      kernel: "ntk",
      outputs: 3,
    });
    expect(JSON.parse(two.stdout)).toMatchObject({ n: 3, n2: 2, shape: [3, 2], kernel: "nngp" });
    expect(JSON.parse(one.stdout).seconds).toBeGreaterThan(0);
    const [K, C] = ["K.npy", "C.npy"].map((name) => folder.npy(name));
    expect([K.shape, K.data.constructor]).toEqual([[3, 3], Float64Array]);
    expect([C.shape, C.data.constructor]).toEqual([[3, 2], Float64Array]);
    // 3e-14 of what the diagonals are, which is below 10.
    assertWithin(K.data, exact(X, X, "ntk"), 3e-13, "Θ");
    assertWithin(C.data, exact(X, X2, "nngp"), 3e-13, "Σ");
  },
);

test.concurrent("limit: eight points on a circle have the smallest eigenvalue 0.548", async () => {
  await folder.json("limit --network flat.json --inputs circle:8 --out circle.npy");
  const values = eigenvalues(folder.npy("circle.npy").data, 8);
  assertWithin([values[7]], [0.548], 5e-4 + 1e-5, "λ_min");
});

test.concurrent(
  "limit: the lines for a person say which kernel, and that it is one output's",
  async () => {
    const { status, stdout } = await folder.ntk(run);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Θ \[3, 3\]\n.* 3 outputs .*0\n$/);
  },
);

test.concurrent.for([
  ["limit --inputs X.npy", /--network is missing/],
  ["limit --network net.json", /--inputs is missing/],
  [`${run} --kernel rbf`, /--kernel is rbf, but must be ntk or nngp/],
  [`${run} --seed 1`, /--seed/],
  [`${run} --weights .`, /--weights/],
  [`${run} --out nowhere/K.npy`, /nowhere\/K\.npy.*does not exist/],
  [`${run} --inputs2 sphere:3:4:0`, /3 features/],
  ["limit --network out.json --inputs X.npy", /fan is "out", but must be "in"/],
  ["limit --network tanh.json --inputs far.npy", /layer 1 have variance .* but .*Scale/],
] as const)("limit is refused: %s", async ([args, says]) => {
  const { status, stdout, last } = await folder.ntk(args, nowhere);
  expect(last).toMatch(says);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
});
