import { parseHTML } from "linkedom";
import { PNG } from "pngjs";
import { describe, expect, test } from "vitest";
import { assertWithin, U } from "../reference/compare.ts";
import { fourAxes, traceForm } from "../reference/gram.ts";
import { eigenvalues, withSpectrum } from "../reference/eigen.ts";
import { golden } from "../reference/npy.ts";
import { deviceTest, Folder, type Printed } from "./run.ts";

const folder = new Folder();
const c2 = folder.golden("c2_tanh_d2");
const c3 = folder.golden("c3_relu_o3");
const descending = (name: Parameters<typeof golden>[0]) => golden(name).eig.slice().reverse();

const square = withSpectrum("falling", [9, 7, 5, 4, 3, 2, 1, 0.5, 0.25, 0.125], 3);
const { n: N } = square;
/** The spectrum of the f32 matrix itself. */
const values = eigenvalues(square.a, N);
folder.array("f4.npy", [N, N], square.a);
folder.array("f8.npy", [N, N], square.a, true);

/** What the contract promises of every spectrum; `exact`: all eigenvalues, descending. */
function expectSpectrum(printed: Printed, exact: Float64Array, top: number, bottom: number): void {
  const order = exact.length;
  const wanted = Array.from(exact).filter((_, i) => i < top || i >= order - bottom);
  expect(printed.eigenvalues).toHaveLength(wanted.length);
  expect(printed.errorBounds).toHaveLength(wanted.length);
  const slack = 8 * order * 2 ** -52 * exact[0];
  const bounds = printed.errorBounds.map((bound: number) => bound + slack);
  assertWithin(printed.eigenvalues, wanted, bounds, "eigenvalues");
  expect(Math.max(...printed.errorBounds)).toBeLessThanOrEqual(5e-6 * exact[0]);
  expect(printed.eigenvalues).toEqual([...printed.eigenvalues].sort((a, b) => b - a));
  const largest = Math.max(...bounds);
  assertWithin(
    [printed.lambdaMax, printed.lambdaMin],
    [exact[0], exact[order - 1]],
    largest,
    "ends",
  );
  if (top > 0) expect(printed.eigenvalues[0]).toBe(printed.lambdaMax);
  if (bottom > 0) expect(printed.eigenvalues.at(-1)).toBe(printed.lambdaMin);
  const sum = exact.reduce((total, value) => total + value, 0);
  const squares = exact.reduce((total, value) => total + value * value, 0);
  assertWithin([printed.trace], [sum], order * largest, "trace");
  const rank = sum ** 2 / squares;
  assertWithin([printed.effectiveRank], [rank], (4 * order * largest * rank) / exact[0], "rank");
  if (printed.condition === null) expect(printed.lambdaMin).toBeLessThanOrEqual(largest);
  else expect(printed.condition).toBe(printed.lambdaMax / printed.lambdaMin);
  expect(["guaranteed", "probabilistic"]).toContain(printed.boundKind);
  if (printed.boundKind === "probabilistic") {
    expect(printed.confidence).toBeGreaterThan(0.99);
    expect(printed.confidence).toBeLessThan(1);
  }
  expect(typeof printed.converged).toBe("boolean");
  expect(Number.isInteger(printed.steps)).toBe(true);
  expect(printed.seconds).toBeGreaterThan(0);
  expect(typeof printed.adapter).toBe("string");
  expect(Object.keys(printed.stages)).toContain("dense");
}

describe("spectrum", () => {
  deviceTest(
    "all eigenvalues of H by three outputs, in f64, with unit vectors that belong to them",
    async () => {
      const printed = await folder.json(`spectrum ${c3.args} --out e.npy --vectors V.npy`);
      expect(printed).toMatchObject({ n: 20, outputs: 3, parameters: 14083, converged: true });
      expectSpectrum(printed, descending("c3_relu_o3"), 60, 0);
      const file = folder.npy("e.npy");
      expect([file.shape, file.data.constructor]).toEqual([[60], Float64Array]);
      expect(Array.from(file.data)).toEqual(printed.eigenvalues);
      const { shape, data } = folder.npy("V.npy");
      expect([shape, data.constructor]).toEqual([[60, 60], Float32Array]);
      const { ntk: h } = golden("c3_relu_o3");
      for (let r = 0; r < 60; r++) {
        const v = Float64Array.from(data.subarray(60 * r, 60 * (r + 1)));
        assertWithin([Math.hypot(...v)], [1], 10 * 60 * U, `norm of vector ${r}`);
        const lambda = printed.eigenvalues[r];
        let residual = 0;
        for (let i = 0; i < 60; i++)
          residual +=
            (v.reduce((sum, value, j) => sum + h[60 * i + j] * value, 0) - lambda * v[i]) ** 2;
        const bound = 8 * Math.sqrt(60) * U * printed.lambdaMax + printed.errorBounds[r];
        assertWithin([Math.sqrt(residual)], [0], bound, `residual of vector ${r}`);
      }
    },
  );

  deviceTest(
    "by panels of J, by the mean over outputs, the intervals hold the exact values too",
    async () => {
      const trace = traceForm(golden("c3_relu_o3").ntk, 20, 20, 3);
      const [full, mean] = await Promise.all([
        folder.json(`spectrum ${c2.args} --method jacobian --precision fast`),
        folder.json(`spectrum ${c3.args} --outputs trace`),
      ]);
      expect(full.method).toBe("jacobian");
      expectSpectrum(full, descending("c2_tanh_d2"), 24, 0);
      expectSpectrum(mean, eigenvalues(trace, 20), 20, 0);
    },
  );

  deviceTest(
    "--precision verified: guaranteed intervals, of a network's H and of a file's",
    async () => {
      const [net, file] = await Promise.all([
        folder.json(`spectrum ${c2.args} --precision verified --explain`),
        folder.json("spectrum --gram f8.npy --precision verified --bottom 2"),
      ]);
      const exact = descending("c2_tanh_d2");
      expect(net).toMatchObject({ precision: "verified", boundKind: "guaranteed", confidence: 1 });
      const own = 2 ** -47 * exact.length * exact[0];
      const bounds = net.errorBounds.map((bound: number) => bound + own);
      assertWithin(net.eigenvalues, exact, bounds, "eigenvalues");
      expect(Math.max(...net.errorBounds)).toBeLessThanOrEqual(1e-10 * exact[0]);
      expect(Object.keys(net.errorTerms)).toEqual(["solver", "products", "features"]);
      net.errorBounds.forEach((bound: number, i: number) => {
        let sum = 0;
        for (const term of Object.values<number[]>(net.errorTerms)) {
          expect(term[i]).toBeLessThanOrEqual(bound);
          sum += term[i];
        }
        // To first order the parts add up.
        expect(bound).toBeLessThanOrEqual(1.01 * sum);
      });
      expect(file).toMatchObject({ n: N, boundKind: "guaranteed", converged: true });
      const ends = file.errorBounds.map((bound: number) => bound + 2 ** -47 * N * values[0]);
      assertWithin(file.eigenvalues, values.subarray(N - 2), ends, "ends");
    },
  );

  deviceTest("--precision verified: several at the ends without all the others", async () => {
    const order = 330;
    const large = withSpectrum(
      "squares",
      Array.from({ length: order }, (_, i) => 1 / (i + 1) ** 2),
      5,
    );
    const every = eigenvalues(large.a, order);
    folder.array("large.npy", [order, order], large.a);
    const ends = await folder.json(
      "spectrum --gram large.npy --precision verified --top 4 --bottom 6",
    );
    expect(ends).toMatchObject({ n: order, boundKind: "guaranteed", converged: true });
    // By factorizations, which the solver of all eigenvalues has none of.
    expect(Object.keys(ends.stages)).toContain("cholesky");
    const wanted = [...every.slice(0, 4), ...every.slice(order - 6)];
    const rounding = 2 ** -47 * order * every[0];
    const within = ends.errorBounds.map((bound: number) => bound + rounding);
    assertWithin(ends.eigenvalues, wanted, within, "ends");
    expect(Math.max(...ends.errorBounds)).toBeLessThanOrEqual(1e-11);
    expect([ends.lambdaMax, ends.lambdaMin]).toEqual([ends.eigenvalues[0], ends.eigenvalues[9]]);
    // For a person each is called by its place among all.
    const { stdout } = await folder.ntk("spectrum --gram large.npy --top 1 --bottom 2");
    const named = stdout.match(/^λ_\d+ /gm);
    expect(named).toEqual(["λ_1 ", "λ_329 ", "λ_330 "]);
    expect(stdout).toMatch(/^λ_max +\S+ ± /m);
    // What only the lower end was asked for says of λ_max has no interval.
    const { stdout: lower } = await folder.ntk("spectrum --gram large.npy --bottom 2");
    expect(lower).toMatch(/^λ_max +1(\.\d+)?$/m);
  });

  deviceTest("the ends that are asked for come once each, also where they overlap", async () => {
    const asked = [
      [3, 0],
      [0, 2],
      [7, 6],
    ];
    await Promise.all(
      asked.map(async ([top, bottom]) => {
        const ends = `${top ? ` --top ${top}` : ""}${bottom ? ` --bottom ${bottom}` : ""}`;
        const printed = await folder.json(
          `spectrum --gram f4.npy${ends} --vectors V${top}_${bottom}.npy`,
        );
        expectSpectrum(printed, values, top, bottom);
        const { shape } = folder.npy(`V${top}_${bottom}.npy`);
        expect(shape).toEqual([printed.eigenvalues.length, N]);
      }),
    );
  });

  deviceTest("a matrix from a file may be f4 or f8, and --all gives every eigenvalue", async () => {
    const wide = Float64Array.from(
      square.a,
      (x, at) => x + ((at % (N + 1) === 0 ? 1 : 0) * 2 ** -26) / 3,
    );
    folder.array("wide.npy", [N, N], wide, true);
    const [f4, f8, finer] = await Promise.all(
      ["f4.npy", "f8.npy --all", "wide.npy --all"].map((file) =>
        folder.json(`spectrum --gram ${file}`),
      ),
    );
    expectSpectrum(f4, values, N, 0);
    expectSpectrum(finer, eigenvalues(wide, N), N, 0);
    expect(f8.eigenvalues).toEqual(f4.eigenvalues);
    expect(f4).toMatchObject({ n: N, steps: N, converged: true });
  });

  deviceTest("a file with four axes is the same matrix as H of the network", async () => {
    const { ntk } = golden("c3_relu_o3");
    folder.array("four.npy", [20, 20, 3, 3], fourAxes(ntk, 20, 20, 3), true);
    folder.array("two.npy", [60, 60], ntk, true);
    const [four, two] = await Promise.all(
      ["four.npy", "two.npy"].map((file) => folder.json(`spectrum --gram ${file}`)),
    );
    expectSpectrum(four, descending("c3_relu_o3"), 60, 0);
    expect(four.eigenvalues).toEqual(two.eigenvalues);
  });

  deviceTest("a matrix of rank 3 has no condition number, and --json says null", async () => {
    const rows = [1, 2, -1, 0, 1, 3, 2, 2, 0, 1, -2, 1, 3, 0, 1, 1, 1, 1, 2, -1, 0];
    const low = Array.from({ length: 49 }, (_, at) => {
      const [i, j] = [Math.floor(at / 7), at % 7];
      return [0, 1, 2].reduce((sum, k) => sum + rows[3 * i + k] * rows[3 * j + k], 0);
    });
    folder.array("low.npy", [7, 7], low);
    const printed = await folder.json("spectrum --gram low.npy");
    expect(printed.condition).toBe(null);
    expectSpectrum(printed, eigenvalues(low, 7), 7, 0);
  });

  test.concurrent.for([
    ["has 3 rows and 4 columns", [3, 4], "[3, 4]"],
    ["has one axis", [9], "[9]"],
    ["has three axes", [2, 2, 2], "[2, 2, 2]"],
    ["has four axes, the last two unequal", [2, 2, 1, 2], "[2, 2, 1, 2]"],
    ["is empty", [0, 0], "[0, 0]"],
  ] as const)("a matrix that %s is refused with its shape", async ([what, shape, said]) => {
    const count = shape.reduce((product: number, size) => product * size, 1);
    const file = folder.array(`${what.replaceAll(/\W/g, "_")}.npy`, shape, new Float32Array(count));
    const { status, stdout, last } = await folder.ntk(`spectrum --gram ${file}`);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(last).toContain(said);
    expect(last).toContain("symmetric");
  });

  test.concurrent("a matrix that is not symmetric is refused with the two entries", async () => {
    folder.array("skew.npy", [2, 2], [1, 0.5, 0.25, 1]);
    folder.array(
      "skew4.npy",
      [2, 2, 2, 2],
      Array.from({ length: 16 }, (_, k) => k),
    );
    const [two, four] = await Promise.all(
      ["skew.npy", "skew4.npy"].map((file) => folder.ntk(`spectrum --gram ${file}`)),
    );
    expect([two.status, four.status, two.stdout + four.stdout]).toEqual([2, 2, ""]);
    for (const entry of ["H[1, 0] is 0.25", "H[0, 1] is 0.5"]) expect(two.last).toContain(entry);
  });
});

describe("density", () => {
  deviceTest("of a network's H and of a file's: grid, density, moments with errors", async () => {
    const [net, file] = await Promise.all([
      folder.json(`density ${c2.args} --probes 8 --out d.npy`),
      folder.json("density --gram f8.npy --axis linear --steps 10 --points 101"),
    ]);
    const exact = descending("c2_tanh_d2");
    expect(net).toMatchObject({ n: 24, outputs: 1, method: "layerwise", probes: 8, steps: 24 });
    const mean = exact.reduce((sum, value) => sum + value, 0) / exact.length;
    assertWithin([net.moments[0]], [mean], 6 * net.momentErrors[0] + 1e-5 * mean, "mean");
    const { shape, data } = folder.npy("d.npy");
    expect([shape, data.constructor]).toEqual([[401, 3], Float64Array]);
    expect(Array.from({ length: 401 }, (_, k) => data[3 * k])).toEqual(net.grid);
    expect(Array.from({ length: 401 }, (_, k) => data[3 * k + 1])).toEqual(net.density);
    expect(file).toMatchObject({ n: N, axis: "linear", probes: 16, steps: 10 });
    const step = file.grid[1] - file.grid[0];
    const mass = file.density.reduce((sum: number, value: number) => sum + value * step, 0);
    assertWithin([mass], [1], 1e-3, "mass");
    const tooMany = await folder.ntk("density --gram f8.npy --steps 11 --json");
    expect([tooMany.status, tooMany.stdout]).toEqual([2, ""]);
    expect(tooMany.last).toMatch(/--steps is 11/);
  });
});

describe("report", () => {
  deviceTest("writes matrix, numbers and pictures into a new folder and lists them", async () => {
    folder.network("net.json", {
      widths: [784, 12, 1],
      activation: "tanh",
      parameterization: "ntk",
      weightScale: 1,
      biasScale: 0.1,
    });
    const args = "--network net.json --inputs mnist:3,5:9 --seed 3";
    const [printed, alone, again] = await Promise.all([
      folder.json(`report ${args} --out deep/in`),
      folder.json(`gram ${args} --out alone.npy`),
      folder.json(`spectrum ${args}`),
    ]);
    const names = ["gram.npy", "spectrum.json", "spectrum.svg", "gram.png", "report.html"];
    expect(printed.files).toEqual(names.map((name) => `deep/in/${name}`));
    // The report's H has better sums than f32 alone, rounded to f32 at the end.
    const [h, plain] = ["deep/in/gram.npy", "alone.npy"].map((name) => folder.npy(name));
    expect([h.shape, h.data.constructor]).toEqual([plain.shape, Float32Array]);
    assertWithin(h.data, plain.data, 2 ** -19 * Math.max(...plain.data), "gram.npy");
    const json = JSON.parse(folder.bytes("deep/in/spectrum.json").toString()) as Printed;
    for (const [key, value] of Object.entries(again))
      if (!["seconds", "stages"].includes(key)) expect([key, json[key]]).toEqual([key, value]);
    expect(Object.keys(again).filter((key) => !(key in printed))).toEqual([]);
    expect(printed).toMatchObject({ n: 9, outputs: 1, parameters: alone.parameters });
    const { width, height } = PNG.sync.read(folder.bytes("deep/in/gram.png"));
    expect(Math.min(width, height)).toBeGreaterThan(9);
    expect(folder.bytes("deep/in/spectrum.svg").toString()).toMatch(/^<svg /);
    const { document } = parseHTML(folder.bytes("deep/in/report.html").toString());
    expect(document.querySelectorAll("svg").length).toBeGreaterThan(0);
    const links = [...document.querySelectorAll("[src], link[href]")];
    for (const link of links)
      expect(link.getAttribute("src") ?? link.getAttribute("href")).toMatch(/^data:/);
  });
});
