/** Training in pictures: marks stand where the data say, and `ntk report --steps` writes what it promises. */
import { parseHTML } from "linkedom";
import { describe, expect, test } from "vitest";
import type { ReportData, TrainingData } from "../../src/cli/pictures/data.ts";
import { inside } from "../../src/cli/pictures/panel.ts";
import { reportHtml } from "../../src/cli/pictures/report.ts";
import { trainingPanels, trainingSvg } from "../../src/cli/pictures/training.ts";
import { certify, lossBounds, type TrackedStep } from "../../src/theory.ts";
import { sample } from "../shaders/guarded.ts";
import { deviceTest, Folder, type Printed } from "./run.ts";

const PANELS = [
  "Loss and its bound",
  "Ends of the spectrum",
  "Drift of kernel and weights",
  "Alignment of kernel and targets",
  "Residual along the top eigenvectors of H₀",
];

const RATE = 0.05;
const EIGENVALUES = [10, 1];

/** A kernel that stays nearly where it is, and a residual that falls as its linearization's. */
function look(step: number, change: Partial<TrackedStep> = {}): TrackedStep {
  const along = EIGENVALUES.map((lambda, i) => 3 * (1 - RATE * lambda) ** step * (i ? -1 : 1));
  const residualNorm = Math.hypot(...along);
  const gramDrift = 1e-3 * step;
  return {
    ...{ step, time: RATE * step, loss: residualNorm ** 2 / 2, lossBound: 1e-7 },
    ...{ largestLoss: 4.5, trace: 11 },
    ...{ outputBound: 1e-6, residualNorm, lambdaMin: 1, lambdaMinBound: 1e-6 },
    ...{ lambdaMax: 10, lambdaMaxBound: 1e-6, jacobianNorm: Math.sqrt(10), sigmaMin: 1 },
    ...{
      largestGradient: 3,
      gramDrift,
      gramDriftBound: 1e-7,
      limitDrift: null,
      limitDriftBound: null,
    },
    ...{ parameterDrift: 0.01 * step, layers: [], gradientNorm: 10, gradientBound: 1 },
    ...{ alignment: 0.25 + step / 100, centredAlignment: 0.5, velocity: 0, eigenvectorChange: 0 },
    ...{ residualAlong: Float64Array.from(along), linearGap: 0, flowGap: 0 },
    ...change,
  };
}

function trainingOf(tracked: TrackedStep[], rate = RATE): TrainingData {
  const run = { rate, loss: "mse", plain: true } as const;
  const bounds = lossBounds(tracked, run);
  return {
    ...{ n: 2, outputs: 1, parameters: 30, steps: tracked.at(-1)!.step, rate },
    eigenvalues: EIGENVALUES,
    tracked: tracked.map((seen, k) => ({ ...seen, ...bounds[k] })),
    regime: { expected: "lazy", seen: "lazy" },
    certificate: certify(tracked, run, null, { n: 2, outputs: 1, layers: 2, width: 10 }),
  };
}
const training = trainingOf([0, 10, 20, 30, 40].map((step) => look(step)));

const parsed = (svg: string): Document => {
  expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  expect(svg.match(/<\w[^>]*[^/]>/g)?.length).toBe(svg.match(/<\/\w+>/g)?.length);
  return parseHTML(`<html><body>${svg}</body></html>`).document;
};
const texts = (document: Document): string =>
  [...document.querySelectorAll("text")].map((text) => text.textContent).join("\n");

/** Marks as [x, y], one colour after the other as they are drawn. */
const marks = (document: Document, name = "seen"): { x: number; y: number; fill: string }[] =>
  [...document.querySelectorAll(`g.${name}`)].flatMap((group) =>
    [...group.querySelectorAll("circle")].map((dot) => ({
      x: Number(dot.getAttribute("cx")),
      y: Number(dot.getAttribute("cy")),
      fill: group.getAttribute("fill") ?? "",
    })),
  );

/** Where ticks of an axis stand, by their names. */
function ticks(document: Document, axis: "x" | "y"): Map<string, number> {
  const all = document.querySelectorAll(`g[aria-label="${axis}-axis tick label"] text`);
  return new Map(
    [...all].map((text) => {
      const [, x, y] = /translate\(([-\d.]+),([-\d.]+)\)/.exec(text.getAttribute("transform")!)!;
      return [text.textContent ?? "", Number(axis === "x" ? x : y)];
    }),
  );
}

/** Coordinates are rounded to a tenth of a pixel, those of ticks, mark and line alike. */
const PIXEL = 0.3;

describe("pictures of training", () => {
  test("marks stand at their step, and at their value on a logarithmic axis", () => {
    const document = parsed(trainingPanels(training)[4].svg);
    const [x, y] = [ticks(document, "x"), ticks(document, "y")];
    const perStep = (x.get("40")! - x.get("0")!) / 40;
    const [one, decade] = [y.get("10⁰")!, (y.get("10⁻¹⁰")! - y.get("10⁰")!) / 10];
    const found = marks(document);
    expect(found).toHaveLength(10);
    expect(new Set(found.map(({ fill }) => fill)).size).toBe(2);
    found.forEach((mark, at) => {
      const { step, residualAlong } = training.tracked[at % 5];
      const value = Math.abs(residualAlong[Math.floor(at / 5)]);
      expect(Math.abs(mark.x - x.get("0")! - perStep * step)).toBeLessThanOrEqual(PIXEL);
      const height = one - decade * Math.log10(value);
      expect(Math.abs(mark.y - height)).toBeLessThanOrEqual(2 * PIXEL);
    });
  });

  test("the prediction of descent goes through what descent does", () => {
    const document = parsed(trainingPanels(training)[4].svg);
    const lines = [...document.querySelectorAll('g[aria-label="line"] path')].map((path) =>
      [...path.getAttribute("d")!.matchAll(/([\d.]+),([\d.]+)/g)].map((pair) => pair.map(Number)),
    );
    // Of each vector the flow, then descent.
    expect(lines).toHaveLength(4);
    for (const mark of marks(document).slice(5)) {
      const near = lines[3].filter(([, x]) => Math.abs(x - mark.x) <= PIXEL);
      expect(near.length).toBeGreaterThan(0);
      for (const [, , y] of near) expect(Math.abs(y - mark.y)).toBeLessThanOrEqual(PIXEL);
    }
    // e^(−λt) ≥ (1 − ηλ)^k: higher up.
    const [flow, descent] = [lines[2].at(-1)!, lines[3].at(-1)!];
    expect(flow[2]).toBeLessThan(descent[2]);
  });

  test("alignment stands on a linear axis that begins at 0", () => {
    const document = parsed(trainingPanels(training)[3].svg);
    const y = ticks(document, "y");
    const unit = (y.get("0.4")! - y.get("0")!) / 0.4;
    const found = marks(document);
    training.tracked.forEach(({ alignment, centredAlignment }, k) => {
      expect(Math.abs(found[k].y - y.get("0")! - unit * alignment!)).toBeLessThanOrEqual(PIXEL);
      expect(Math.abs(found[5 + k].y - y.get("0")! - unit * centredAlignment!)).toBeLessThanOrEqual(
        PIXEL,
      );
    });
  });

  test("the loss stands below its bound, which the key names by what it is", () => {
    const document = parsed(trainingPanels(training)[0].svg);
    expect(texts(document)).toContain("at most, flow, sampled: L(0) exp(−2 ∫ λ_min)");
    const [bound] = [...document.querySelectorAll('g[aria-label="line"] path')].map((path) =>
      [...path.getAttribute("d")!.matchAll(/([\d.]+),([\d.]+)/g)].map((pair) => Number(pair[2])),
    );
    marks(document)
      .slice(1)
      .forEach(({ y }, k) => expect(y).toBeGreaterThan(bound[k + 1]));
  });

  test("λ_min that is not told from 0 stands hollow at the upper end of its interval, 2/η is named", () => {
    const tracked = [0, 10].map((step) => look(step, { lambdaMin: 1e-3, lambdaMinBound: 2e-3 }));
    const document = parsed(trainingPanels(trainingOf(tracked))[1].svg);
    expect(texts(document)).toContain("2/η = 40");
    expect([marks(document).length, marks(document, "open").length]).toEqual([2, 2]);
    const y = ticks(document, "y");
    const decade = y.get("10⁰")! - y.get("10¹")!;
    const height = y.get("10⁰")! - decade * Math.log10(3e-3);
    for (const mark of marks(document, "open"))
      expect(Math.abs(mark.y - height)).toBeLessThanOrEqual(4 * PIXEL);
  });

  test.each([
    ["one step", [0, 1].map((step) => look(step))],
    ["nothing moves", [0, 5].map((step) => look(step, { gramDrift: 0, parameterDrift: 0 }))],
    ["a loss of 0", [0, 5].map((step) => look(step, { loss: 0, residualNorm: 0, lossBound: 0 }))],
    [
      "no alignment",
      [0, 5].map((step) => look(step, { alignment: NaN, centredAlignment: Infinity })),
    ],
    ["no residual", [0, 5].map((step) => look(step, { residualAlong: new Float64Array(2) }))],
    ["values 300 decades apart", [look(0), look(5, { loss: 1e-300, lambdaMin: 1e-200 })]],
    ["a thousand looks", Array.from({ length: 1001 }, (_, step) => look(step))],
  ])("stays finite and below 300 kB: %s", (_, tracked) => {
    const svg = trainingSvg(trainingOf(tracked));
    const document = parsed(svg);
    for (const panel of PANELS) expect(texts(document)).toContain(panel);
    expect(svg.length).toBeLessThan(300_000);
  });

  test("a catapult's prediction ends where it leaves the picture of what was measured", () => {
    const tracked = [0, 10, 200].map((step) =>
      look(step, { residualAlong: Float64Array.of(3, 1) }),
    );
    const document = parsed(trainingPanels(trainingOf(tracked, 0.25))[4].svg);
    const [, descent] = [...document.querySelectorAll('g[aria-label="line"] path')];
    const last = /([\d.]+),([\d.]+)$/.exec(descent.getAttribute("d")!)!;
    // |1 − ηλ|^k = 1.5^k: 10 times the largest after 6 steps.
    expect(Number(last[1])).toBeLessThan(ticks(document, "x").get("20")!);
  });

  test("without eigenvalues there are marks and no lines", () => {
    const document = parsed(trainingPanels({ ...training, eigenvalues: [] })[4].svg);
    expect(marks(document)).toHaveLength(10);
    expect(document.querySelectorAll('g[aria-label="line"] path')).toHaveLength(0);
    expect(texts(document)).not.toContain("descent");
  });

  test("is one figure with title and description, each panel with words of its own", () => {
    const document = parsed(trainingSvg(training));
    const [outer, ...panels] = [...document.querySelectorAll("svg")];
    expect(outer.querySelector("title")?.textContent).toContain("Training");
    expect(outer.querySelector("desc")?.textContent).toContain(
      "40 steps at η = 0.05 = 0.5 / λ_max",
    );
    expect(outer.getAttribute("width")).toBe("1000");
    expect(panels.map((panel) => panel.getAttribute("aria-label")?.split(":")[0])).toEqual(PANELS);
    const boxes = panels.map((panel) =>
      ["x", "y", "width", "height"].map((name) => Number(panel.getAttribute(name))),
    );
    boxes.forEach(([x, y, width, height], k) => {
      expect(x + width).toBeLessThanOrEqual(1000);
      expect(y + height).toBeLessThanOrEqual(Number(outer.getAttribute("height")));
      for (const [x2, y2] of boxes.slice(k + 1))
        expect(x2 >= x + width || y2 >= y + height, "panels apart").toBe(true);
    });
  });

  test("a line is cut where it crosses the ends of a logarithmic axis", () => {
    const line = [100, 1, 0.01].map((y, step) => ({ step, y }));
    expect(inside(line, [0.1, 10]).slice(1)).toEqual([
      { step: 0.5, y: expect.closeTo(10, 9) },
      { step: 1, y: 1 },
      { step: 1.5, y: expect.closeTo(0.1, 9) },
    ]);
    const zero = [1, 0, 0, 1].map((y, step) => ({ step, y }));
    expect(inside(zero, [0.1, 10]).filter(({ y }) => Number.isNaN(y))).toHaveLength(2);
    expect(inside(line, [1e3, 1e4])).toEqual([]);
  });
});

describe("the page", () => {
  const report: ReportData = {
    ...{ title: "A run", network: { widths: [2, 8, 1] }, inputs: "x.npy", adapter: "an adapter" },
    ...{ n: 2, outputs: 1, parameters: 30, gram: Float64Array.of(6, 4, 4, 5) },
    ...{ classes: null, order: null, vectors: null },
    spectrum: {
      ...{ eigenvalues: EIGENVALUES, errorBounds: [1e-6, 1e-6], lambdaMax: 10, lambdaMin: 1 },
      ...{ condition: 10, effectiveRank: 1.2, trace: 11, boundKind: "guaranteed" },
      ...{ precision: "compensated", steps: 2, converged: true, stages: { gram: 1 } },
    },
  };

  test("shows each panel and each inequality, and needs nothing else", () => {
    const html = reportHtml({ ...report, training });
    const { document } = parseHTML(html);
    const figures = [...document.querySelectorAll("svg[role=img]")];
    const labels = figures.slice(2).map((svg) => svg.getAttribute("aria-label")!.split(":")[0]);
    expect(labels).toEqual(PANELS);
    const text = document.body.textContent;
    for (const { formula, name } of training.certificate!.checks)
      for (const words of [formula, name]) expect(text).toContain(words);
    expect(text).toContain("holds");
    for (const words of ["T, as far as", "K = 2", "R′", "λ, of H0", "estimates"])
      expect(text).toContain(words);
    const bare = html.replaceAll("http://www.w3.org/2000/svg", "");
    expect(bare).not.toMatch(/https?:|<script|<link|@import|src=|url\((?!#)|NaN|undefined/);
  });

  test("says of an inequality whether it holds, fails and where, or is open", () => {
    const checks = training.certificate!.checks.slice(0, 3).map((check, k) => ({
      ...check,
      holds: [true, false, null][k],
      firstFailure: k === 1 ? { step: 1234, time: 1 } : null,
    }));
    const certificate = { ...training.certificate!, checks };
    const { document } = parseHTML(
      reportHtml({ ...report, training: { ...training, certificate } }),
    );
    const verdicts = [...document.querySelectorAll("tbody tr")].map(
      (row) => [...row.querySelectorAll("td")].at(-1)!.textContent,
    );
    expect(verdicts).toEqual(["holds", "fails at step 1234", "open"]);
  });

  test("has no trace of training where there was none", () => {
    expect(reportHtml(report)).not.toMatch(/[Tt]raining|panels|certificate/);
  });
});

describe("ntk report", () => {
  const folder = new Folder();
  folder.network("net.json", {
    ...{ widths: [3, 24, 1], activation: "tanh", parameterization: "ntk" },
    ...{ weightScale: 1.2, biasScale: 0.2 },
  });
  folder.array("x.npy", [8, 3], sample("normal", 24, 1));
  folder.array("y.npy", [8, 1], sample("normal", 8, 2).map(Math.sign));
  const MODEL = "--network net.json --inputs x.npy";
  const PLAIN = ["gram.npy", "spectrum.json", "spectrum.svg", "gram.png"];

  deviceTest("--steps adds the run as `ntk train` tells it, and its pictures", async () => {
    const [printed, plain, train] = await Promise.all([
      folder.json(`report ${MODEL} --targets y.npy --steps 20 --track 8 --out run`),
      folder.json(`report ${MODEL} --out plain`),
      folder.json(`train ${MODEL} --targets y.npy --steps 20 --rate auto --track 8 --certify`),
    ]);
    const names = [...PLAIN, "training.json", "training.svg", "report.html"];
    expect(printed.files).toEqual(names.map((name) => `run/${name}`));
    expect(plain.files).toEqual([...PLAIN, "report.html"].map((name) => `plain/${name}`));
    const json = JSON.parse(folder.bytes("run/training.json").toString()) as Printed;
    expect(json.tracked.map(({ step }: Printed) => step)).toEqual([0, 8, 16, 20]);
    for (const [key, value] of Object.entries(train))
      if (!["seconds", "stages"].includes(key)) expect([key, json[key]]).toEqual([key, value]);
    const document = parsed(folder.bytes("run/training.svg").toString());
    for (const panel of PANELS) expect(texts(document)).toContain(panel);
    expect(folder.bytes("run/report.html").toString()).toContain("<h2>Training</h2>");
    for (const name of ["gram.npy", "spectrum.svg", "gram.png"])
      expect(folder.bytes(`run/${name}`).equals(folder.bytes(`plain/${name}`)), name).toBe(true);
  });

  deviceTest("looks about 50 times where --track is not given", async () => {
    const { files } = await folder.json(
      `report ${MODEL} --targets y.npy --steps 110 --rate 0.5/lambda --out often`,
    );
    const json = JSON.parse(folder.bytes(files[4]).toString()) as Printed;
    expect(json.tracked).toHaveLength(56);
    expect(json.tracked[1].step).toBe(2);
    // The rate is rounded once.
    expect(Math.abs(json.rate * json.tracked[0].lambdaMax - 0.5)).toBeLessThanOrEqual(2 ** -24);
  });

  deviceTest("a network without a kernel of infinite width goes by that of the start", async () => {
    folder.network("out.json", {
      ...{ widths: [3, 16, 1], activation: "tanh", parameterization: "ntk", fan: "out" },
      ...{ weightScale: 1, biasScale: 0.2 },
    });
    await folder.json("report --network out.json --inputs x.npy --targets y.npy --steps 3 --out o");
    const json = JSON.parse(folder.bytes("o/training.json").toString()) as Printed;
    expect(json.certificate.lambdaOf).toBe("start");
  });

  test.concurrent.for([
    ["--rate 0.1", /--rate is given without --steps/],
    ["--targets y.npy", /--targets is given without --steps/],
    ["--steps 0 --targets y.npy", /--steps is 0/],
    ["--steps 5 --targets y.npy --rate fast", /--rate is fast/],
    ["--steps 5", /--targets is missing/],
  ] as const)("%s is refused before anything is computed", async ([args, words]) => {
    const { status, stdout, last } = await folder.ntk(`report ${MODEL} --out no ${args}`);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(last).toMatch(words);
  });
});
