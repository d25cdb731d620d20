import { parseHTML } from "linkedom";
import { PNG } from "pngjs";
import { describe, expect, test } from "vitest";
import { classRuns, orderByClass } from "../../src/cli/pictures/classes.ts";
import { gramPng, gramSvg } from "../../src/cli/pictures/gram.ts";
import { count, figures, roundedUp, withBound } from "../../src/cli/pictures/numbers.ts";
import type { ReportData, Spectrum } from "../../src/cli/pictures/data.ts";
import { reportHtml } from "../../src/cli/pictures/report.ts";
import { spectrumSvg } from "../../src/cli/pictures/spectrum.ts";
import { vectorsSvg } from "../../src/cli/pictures/vectors.ts";

const VIRIDIS_TOP = [253, 231, 37];

function spectrumOf(eigenvalues: number[], bound: number): Spectrum {
  return {
    eigenvalues,
    errorBounds: eigenvalues.map(() => bound),
    lambdaMax: eigenvalues[0],
    lambdaMin: eigenvalues[eigenvalues.length - 1],
    condition: eigenvalues[0] / eigenvalues[eigenvalues.length - 1],
    effectiveRank: 2.5,
    trace: eigenvalues.reduce((sum, value) => sum + value, 0),
    boundKind: "guaranteed",
    precision: "verified",
    steps: eigenvalues.length,
    converged: true,
    stages: { forward: 0.21, gram: 4.7 },
  };
}

/** A power law over five decades, and two classes that are alike within. */
function run(n: number, outputs = 1): ReportData {
  const N = n * outputs;
  const classes = Array.from({ length: n }, (_, i) => (i * 7) % 2);
  const label = (row: number) => classes[Math.floor(row / outputs)];
  const gram = Float32Array.from({ length: N * N }, (_, k) => {
    const [i, j] = [Math.floor(k / N), k % N];
    return (label(i) === label(j) ? 80 : 30) + (i === j ? 60 + i : 0);
  });
  return {
    title: "A run",
    network: { widths: [784, 512, 512, 1], activation: "relu", biasScale: 0.1 },
    inputs: "mnist:0,1:512",
    adapter: "a software adapter",
    n,
    outputs,
    parameters: 665_089,
    spectrum: spectrumOf(
      Array.from({ length: N }, (_, i) => 4e4 * (i + 1) ** -1.85),
      1e-3,
    ),
    gram,
    classes,
    order: orderByClass(classes, outputs),
    vectors: Float32Array.from({ length: 3 * N }, (_, k) => Math.sin(k) / Math.sqrt(N)),
  };
}

function parsed(svg: string): Document {
  expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  return parseHTML(`<html><body>${svg}</body></html>`).document;
}
const texts = (document: Document): string[] =>
  [...document.querySelectorAll("text")].map((text) => text.textContent ?? "");
const dots = (document: Document, name: string): Element[] => [
  ...document.querySelectorAll(`g.${name} circle`),
];

function decoded(png: Uint8Array) {
  const { width, height, data } = PNG.sync.read(Buffer.from(png));
  const at = (x: number, y: number) => [...data.subarray(4 * (y * width + x)).subarray(0, 3)];
  return { width, height, at };
}

/** The left upper corner of the heat map: the first pixel that is not white, and not ink of a label. */
function corner(image: ReturnType<typeof decoded>): number {
  let at = 0;
  while (image.at(at, at).every((byte) => byte === 255)) at++;
  return at;
}

describe("spectrumSvg", () => {
  test("draws one point an eigenvalue, falling from left to right, on logarithmic axes with labelled ticks", () => {
    const document = parsed(spectrumSvg(run(512)));
    const points = dots(document, "resolved");
    expect(points).toHaveLength(512);
    expect(dots(document, "unresolved")).toHaveLength(0);
    const heights = points.map((point) => Number(point.getAttribute("cy")));
    expect(heights).toEqual([...heights].sort((a, b) => a - b));
    for (const tick of ["10⁰", "10¹", "10²", "10³", "10⁴", "1", "50", "500", "λᵢ", "i"])
      expect(texts(document)).toContain(tick);
  });

  test("places a decade at equal distances on the y axis", () => {
    const document = parsed(
      spectrumSvg({ ...run(4), spectrum: spectrumOf([1e3, 1e2, 1e1, 1], 0) }),
    );
    const [a, b, c, d] = dots(document, "resolved").map((dot) => Number(dot.getAttribute("cy")));
    for (const step of [c - b, d - c]) expect(Math.abs(step - (b - a))).toBeLessThanOrEqual(0.2);
  });

  test("draws an error bar from λ − bound to λ + bound", () => {
    const document = parsed(spectrumSvg({ ...run(2), spectrum: spectrumOf([100, 10], 5) }));
    const bars = [...document.querySelectorAll('g[aria-label="line"] path')].map((path) =>
      path.getAttribute("d"),
    );
    const [first, second] = dots(document, "resolved").map((dot) => Number(dot.getAttribute("cy")));
    const decade = second - first;
    const [[, bottom, top]] = [
      ...bars.join("").matchAll(/M[\d.]+,([\d.]+)L[\d.]+,([\d.]+)/g),
    ].slice(1);
    expect(Math.abs(Number(top) - (second - decade * Math.log10(1.5)))).toBeLessThanOrEqual(0.2);
    expect(Math.abs(Number(bottom) - (second - decade * Math.log10(0.5)))).toBeLessThanOrEqual(0.2);
  });

  test("draws values whose interval reaches 0, and values at or below 0, as not resolved", () => {
    const spectrum = spectrumOf([10, 1, 0.01, 0, -0.02], 0.05);
    const svg = spectrumSvg({ ...run(5), spectrum: { ...spectrum, condition: null } });
    const document = parsed(svg);
    expect(dots(document, "resolved")).toHaveLength(2);
    expect(dots(document, "unresolved")).toHaveLength(3);
    expect(texts(document).join()).toMatch(/not resolved \(3\)/);
    expect(texts(document).join()).toContain("condition not resolved");
  });

  test.each([
    ["one value", [3], 1e-6],
    ["nothing but zeros", [0, 0, 0], 0],
    ["a value below its bound alone", [-1e-9], 1e-8],
    ["equal values", [5, 5, 5, 5], 1e-7],
    ["values 400 decades apart", [1e200, 1e-200], 0],
    ["tiny values", [3e-12, 1e-13], 1e-20],
  ])("stays finite for %s", (_, eigenvalues, bound) => {
    const document = parsed(
      spectrumSvg({ ...run(eigenvalues.length), spectrum: spectrumOf(eigenvalues, bound) }),
    );
    expect(dots(document, "resolved").length + dots(document, "unresolved").length).toBe(
      eigenvalues.length,
    );
    expect(
      document.querySelectorAll('g[aria-label="y-axis tick label"] text').length,
    ).toBeGreaterThan(1);
  });

  test("stands at the given indices when only the ends of the spectrum are known", () => {
    const spectrum = { ...spectrumOf([100, 10, 1], 0), indices: [0, 1, 999] };
    const document = parsed(spectrumSvg({ ...run(3), n: 1000, spectrum }));
    expect(texts(document).join()).toContain("λ₁₀₀₀ = 1");
    const [, second, last] = dots(document, "resolved").map((dot) =>
      Number(dot.getAttribute("cx")),
    );
    expect(last - second).toBeGreaterThan(600);
  });

  test("stays below 400 kB with 4096 values, resolved or not", () => {
    const values = Array.from({ length: 4096 }, (_, i) => 4e4 * (i + 1) ** -1.3);
    for (const bound of [1e-4, 1e6]) {
      const svg = spectrumSvg({ ...run(1), n: 4096, spectrum: spectrumOf(values, bound) });
      expect(svg.length).toBeLessThan(400_000);
      expect(parsed(svg).querySelectorAll("circle").length).toBeGreaterThan(4096);
    }
  });

  test("escapes what it is told about the bound", () => {
    const spectrum = { ...spectrumOf([2, 1], 0.1), boundKind: '<b>&"' };
    const svg = spectrumSvg({ ...run(2), spectrum });
    expect(svg).not.toContain("<b>");
    expect(svg).toContain("&lt;b&gt;&amp;");
  });
});

describe("gramPng", () => {
  test("holds each entry as a square of pixels, in order, the largest in the scale's top colour", () => {
    const order = Uint32Array.of(2, 0, 1);
    const image = decoded(gramPng(Float64Array.of(5, 1, 2, 1, 6, 3, 2, 3, 9), 3, order));
    const [zoom, from] = [171, corner(image)];
    const at = (p: number, q: number) => image.at(from + q * zoom + 85, from + p * zoom + 85);
    expect(at(0, 0)).toEqual(VIRIDIS_TOP);
    expect(at(1, 2)).toEqual([68, 1, 84]);
    expect(at(0, 1)).toEqual(at(1, 0));
    for (const inset of [0, 170]) expect(image.at(from + inset, from + inset)).toEqual(VIRIDIS_TOP);
    expect(image.at(from + zoom, from)).not.toEqual(VIRIDIS_TOP);
    expect(image.height).toBeGreaterThanOrEqual(513);
  });

  test("has a scale at the right that ends in the top colour, with ink of tick values beside it", () => {
    const image = decoded(gramPng(run(64).gram, 64, null));
    const from = corner(image);
    const bar = from + 512 + 2 * Math.round(512 / 40) + 3;
    expect(image.at(bar, from)).toEqual(VIRIDIS_TOP);
    expect(image.at(bar, from + 511)).toEqual([68, 1, 84]);
    let ink = 0;
    for (let y = 0; y < image.height; y++)
      for (let x = bar + 30; x < image.width; x++) ink += image.at(x, y)[0] < 128 ? 1 : 0;
    expect(ink).toBeGreaterThan(100);
  });

  test("is white at 0, red above and blue below where entries have both signs", () => {
    const image = decoded(gramPng(Float32Array.of(2, -1, -1, 0), 2, null));
    const from = corner(image);
    expect(image.at(from, from)).toEqual([103, 0, 31]);
    const [r, , b] = image.at(from + 300, from + 10);
    expect(b).toBeGreaterThan(r);
    expect(Math.min(...image.at(from + 300, from + 300))).toBeGreaterThan(235);
  });

  test.each([
    ["1 × 1", 1, 7],
    ["constant", 5, 7],
    ["zero", 4, 0],
    ["constant and negative", 3, -2],
    ["constant and tiny", 3, 1e-30],
  ])("draws a matrix that is %s", (_, N, value) => {
    const image = decoded(gramPng(new Float32Array(N * N).fill(value), N, null));
    expect(image.width).toBeGreaterThan(512);
    const from = corner(image);
    const top = value > 0 ? VIRIDIS_TOP : [68, 1, 84];
    expect(image.at(from, from)).toEqual(top);
  });

  test("writes classes of any sign and length beside the map, not into it", () => {
    const gram = new Float32Array(16).fill(1);
    const classes = [-1, -1, 123456, 123456];
    const [plain, named] = [null, classes].map((c) => decoded(gramPng(gram, 4, null, c)));
    expect(named.height).toBeGreaterThan(plain.height);
    const margin = (named.height - 512) / 2;
    for (const [x, y] of [
      [0, 0],
      [511, 0],
      [0, 511],
      [256, 256],
    ])
      expect(named.at(margin + x, margin + y)).toEqual(VIRIDIS_TOP);
    const inkIn = (from: number, to: number) => {
      let ink = 0;
      for (let y = from; y < to; y++)
        for (let x = 0; x < margin - 1; x++) ink += named.at(x, y)[0] < 200 ? 1 : 0;
      return ink;
    };
    expect(inkIn(margin + 100, margin + 156)).toBeGreaterThan(10);
    expect(inkIn(margin + 356, margin + 412)).toBeGreaterThan(inkIn(margin + 100, margin + 156));
    expect(inkIn(0, margin - 60)).toBe(0);
  });

  test("takes one pixel an entry up to 2048 rows and means of blocks beyond", () => {
    const gram = new Float32Array(2050 * 2050).fill(1);
    gram[0] = 5;
    gram[1] = 3;
    const image = decoded(gramPng(gram, 2050, null));
    expect(image.height - 2 * corner(image)).toBe(1025);
    expect(image.at(corner(image), corner(image))).toEqual(VIRIDIS_TOP);
    expect(decoded(gramPng(run(600).gram, 600, null)).height).toBeLessThan(700);
  });

  test("refuses sizes that do not agree, and NaN with its place", () => {
    expect(() => gramPng(new Float32Array(5), 2, null)).toThrow(
      /gramPng: gram holds 5 values, but N × N = 4/,
    );
    expect(() => gramPng(new Float32Array(4), 2, Uint32Array.of(0))).toThrow(/order holds 1 rows/);
    expect(() => gramPng(Float32Array.of(1, 2, NaN, 4), 2, null)).toThrow(/the first at index 2/);
  });
});

describe("gramSvg", () => {
  test("is one n × n image with axes, named classes, lines between them and a colour scale", () => {
    const report = run(40);
    const document = parsed(gramSvg(report, "digit"));
    const images = [...document.querySelectorAll("image")];
    expect(images).toHaveLength(1);
    const href = images[0].getAttribute("href")!;
    const image = decoded(Buffer.from(href.replace("data:image/png;base64,", ""), "base64"));
    expect([image.width, image.height]).toEqual([40, 40]);
    const largest = report.order!.indexOf(39);
    expect(image.at(largest, largest)).toEqual(VIRIDIS_TOP);
    expect(texts(document).filter((text) => text === "digit 0")).toHaveLength(2);
    expect(texts(document).filter((text) => text === "digit 1")).toHaveLength(2);
    expect(document.querySelectorAll('g[aria-label="rule"] line')).toHaveLength(2);
    expect(document.querySelectorAll("stop").length).toBeGreaterThan(10);
    expect(gramSvg(report)).toContain("<linearGradient");
  });

  test.each([1, 2, 3])("is drawn with %i outputs, with and without classes", (outputs) => {
    const report = run(6, outputs);
    parsed(gramSvg(report));
    const plain = parsed(gramSvg({ ...report, classes: null, order: null }));
    expect(texts(plain).join()).not.toContain("class");
  });
});

test("vectorsSvg: draws three components of every sample, turned to a sum of no less than 0", () => {
  const report = run(50);
  const document = parsed(vectorsSvg(report, "digit"));
  expect(document.querySelectorAll('g[aria-label="dot"] circle')).toHaveLength(150);
  const fills = [...document.querySelectorAll('g[aria-label="dot"] circle')].map((dot) =>
    dot.getAttribute("fill"),
  );
  expect(new Set(fills).size).toBe(2);
  const turned = { ...report, vectors: report.vectors!.map((value) => -value) };
  expect(vectorsSvg(turned, "digit")).toBe(vectorsSvg(report, "digit"));
  expect(
    parsed(vectorsSvg({ ...run(1), vectors: Float32Array.of(1) })).querySelectorAll("circle"),
  ).toHaveLength(1);
});

describe("reportHtml", () => {
  test("tells the run in words and pictures", () => {
    const { document } = parseHTML(reportHtml(run(30)));
    const text = document.body.textContent;
    for (const words of [
      "784–512–512–1",
      "mnist:0,1:512",
      "665,089",
      "a software adapter",
      "40,000",
      "4.7 s",
      "210 ms",
      "± 0.0011",
      "effective rank",
      "trace",
    ])
      expect(text).toContain(words);
    expect(document.querySelectorAll("svg[role=img]")).toHaveLength(3);
    expect([...document.querySelectorAll("th")].map((th) => th.textContent)).toContain("λ10");
  });

  test("needs nothing else: no request, no script, no address but the namespace of SVG", () => {
    const html = reportHtml(run(30)).replaceAll("http://www.w3.org/2000/svg", "");
    expect(html).not.toMatch(/https?:|<script|<link|@import|src=|url\((?!#)/);
    for (const [, href] of html.matchAll(/href="([^"]{0,10})/g)) expect(href).toBe("data:image");
  });

  test("escapes every string from outside", () => {
    const evil = `<img src=x onerror="alert('1')">&`;
    const html = reportHtml({
      ...run(4),
      title: evil,
      inputs: evil,
      adapter: evil,
      network: { widths: [1, 1], activation: [evil], [evil]: evil },
      spectrum: { ...spectrumOf([4, 3, 2, 1], 0.1), boundKind: evil, stages: { [evil]: 1 } },
    });
    expect(html).not.toContain("<img");
    expect(parseHTML(html).document.querySelectorAll("img")).toHaveLength(0);
    expect(html).toContain("&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;");
  });

  test("is written without classes, order and vectors, and for one sample", () => {
    const html = reportHtml({ ...run(1), classes: null, order: null, vectors: null });
    expect(parseHTML(html).document.querySelectorAll("svg[role=img]")).toHaveLength(2);
  });
});

test("classes: rows stand by class, ties as they lie, and runs name what stands side by side", () => {
  expect([...orderByClass([1, 0, 1, 0])]).toEqual([1, 3, 0, 2]);
  expect([...orderByClass([1, 0], 2)]).toEqual([2, 3, 0, 1]);
  expect(classRuns([1, 0, 1, 0], orderByClass([1, 0, 1, 0]), 4)).toEqual([
    { label: 0, from: 0, to: 2 },
    { label: 1, from: 2, to: 4 },
  ]);
  expect(classRuns(null, null, 4)).toEqual([]);
});

test("numbers: a printed interval holds the interval that it stands for", () => {
  expect(withBound(12.34564, 0.00123)).toBe("12.3456 ± 0.0013");
  expect(withBound(12345678.9, 123)).toBe("(1.234568 ± 0.000013) × 10⁷");
  expect(withBound(-0.0004, 0.002)).toBe("−0.0004 ± 0.0020");
  expect(withBound(7, 0)).toBe("7");
  expect(figures(0.000123456)).toBe("1.235 × 10⁻⁴");
  expect([count(665089), count(512), figures(111500), figures(null)]).toEqual([
    "665,089",
    "512",
    "111,500",
    "—",
  ]);
  expect([roundedUp(0.0604), roundedUp(0.06), roundedUp(99.5)]).toEqual(["0.061", "0.06", "100"]);
  for (let k = 0; k < 2000; k++) {
    const [value, bound] = [Math.sin(k) * 10 ** ((k % 9) - 3), 10 ** -(k % 7) * (1 + (k % 13))];
    const [, shown, half, power] = withBound(value, bound)
      .replaceAll(",", "")
      .replaceAll("−", "-")
      .match(/([-\d.]+) ± ([\d.]+)(?:\) × (10.+))?/)!;
    const digits = (power ?? "10⁰")
      .slice(2)
      .replace(/[⁰¹²³⁴-⁹]/g, (d) => String("⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(d)));
    const scale = Number(`1e${digits.replace("⁻", "-")}`);
    const slack = 1e-12 * Math.max(Math.abs(value), bound);
    expect(Math.abs(Number(shown) * scale - value) + bound).toBeLessThanOrEqual(
      Number(half) * scale + slack,
    );
  }
});
