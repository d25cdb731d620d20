import edgesWgsl from "../shaders/bench/edges.wgsl";
import exactWgsl from "../shaders/bench/exact.wgsl";
import type { Gpu } from "../src/index.ts";
import { wallClock } from "./clock.ts";
import { Probe } from "./machine/probe.ts";
import { random } from "./random.ts";

/** Whether something holds for every value that was tried, for none, or for some. */
export type Extent = "all" | "none" | "some";

/**
 * How an adapter computes where WGSL leaves it open: what tells one from another when names do not, and what says
 * which arithmetic may be relied upon.
 */
export interface Fingerprint {
  /** Where TwoSum gives the exact error of a sum, as it stands in books. */
  readonly twoSum: Extent;
  /** Where it does with the bits of the sum XORed with a zero that only the run knows. */
  readonly twoSumGuarded: Extent;
  /** Where TwoProd, halves cut off by a mask, gives the exact error of a product. */
  readonly twoProd: Extent;
  /** Where `fma` is rounded once. */
  readonly fmaFused: Extent;
  /** Where a product and a difference, written apart, are rounded once. */
  readonly contracted: Extent;
  readonly subnormals: "kept" | "flushed" | "some";
  /** Whether NaN ≠ NaN is true. */
  readonly nanUnequal: boolean;
  /** max(NaN, 0). */
  readonly maxOfNan: "0" | "NaN" | "other";
  /** 0 / 0. */
  readonly zeroOverZero: "0" | "NaN" | "other";
  /** Where the built-in tanh of 80 to 10 000 is 1; elsewhere it is NaN or wrong. */
  readonly bigTanh: Extent;
  /** Largest |error| of the built-in sin on [−π, π]. */
  readonly sinError: number;
  /** Lanes that a subgroup has, from and to; null where the adapter does not say. */
  readonly subgroups: { readonly least: number; readonly most: number } | null;
  /** Features of the adapter, whether or not the engine asked for them. */
  readonly f16: boolean;
  readonly subgroupMatrix: boolean;
  readonly timestamps: boolean;
}

const COUNT = 4096;

const extent = (held: number, of = COUNT): Extent =>
  held === of ? "all" : held === 0 ? "none" : "some";

/** One word for a value that is 0, NaN or neither. */
const kind = (value: number): "0" | "NaN" | "other" =>
  value === 0 ? "0" : Number.isNaN(value) ? "NaN" : "other";

/**
 * Tries out how an adapter computes.
 *
 * @param features those of the adapter; the device's own by default
 */
export async function fingerprint(
  gpu: Gpu,
  features: ReadonlySet<string> = gpu.device.features as ReadonlySet<string>,
): Promise<Fingerprint> {
  const probe = new Probe(gpu, wallClock);
  try {
    return {
      ...(await exactness(probe)),
      ...(await atEdges(probe)),
      subgroups: subgroups(gpu.device),
      f16: features.has("shader-f16"),
      subgroupMatrix: [...features].some((name) => name.endsWith("subgroup-matrix")),
      timestamps: features.has("timestamp-query"),
    };
  } finally {
    probe.free();
  }
}

/** What the device says of its subgroups; not every host knows the question. */
function subgroups({ adapterInfo: info }: GPUDevice): Fingerprint["subgroups"] {
  const least = info?.subgroupMinSize;
  const most = info?.subgroupMaxSize;
  return least && most ? { least, most } : null;
}

/** Sums and products whose errors f64 knows exactly. */
async function exactness(probe: Probe) {
  const next = random(7);
  const draw = () => Math.fround((2 * next() - 1) * 2 ** Math.floor(16 * next() - 8));
  const pairs = Array.from({ length: COUNT }, () => [draw(), draw()]);
  const x = probe.upload(
    Float32Array.from(pairs.flatMap(([a, b]) => [a, b, Math.fround(a * b), 0])),
  );
  const out = probe.buffer(32 * COUNT);
  const dims = Uint32Array.of(0, 0, 0, 0);
  const pipeline = probe.pipeline("exact", exactWgsl);
  probe.submit([probe.dispatch(pipeline, COUNT / 64, { x, out, dims })]);
  await probe.done();
  const found = new Float32Array(await probe.read(out));
  // Where nothing is lost, 0 is right and says nothing.
  const sums = pairs.map(([a, b]) => a + b - Math.fround(a + b));
  const products = pairs.map(([a, b]) => a * b - Math.fround(a * b));
  const share = (exact: readonly number[], place: number): Extent => {
    const telling = exact.flatMap((error, i) => (error === 0 ? [] : [i]));
    const held = telling.filter((i) => found[8 * i + place] === exact[i]);
    return extent(held.length, telling.length);
  };
  return {
    twoSum: share(sums, 0),
    twoSumGuarded: share(sums, 1),
    twoProd: share(products, 2),
    fmaFused: share(products, 3),
    contracted: share(products, 4),
  };
}

/** Subnormals, NaN, and arguments where built-in functions may fail. */
async function atEdges(probe: Probe) {
  const large = (i: number) => 80 * 125 ** (i / (COUNT - 1));
  const angle = (i: number) => Math.fround(Math.PI * ((2 * i) / (COUNT - 1) - 1));
  const bits = new Uint32Array(4 * COUNT);
  const values = new Float32Array(bits.buffer);
  for (let i = 0; i < COUNT; i++) {
    values[4 * i] = large(i);
    values[4 * i + 1] = angle(i);
    bits[4 * i + 2] = 1 + i * 2047; // up to the largest subnormal
    bits[4 * i + 3] = 0x7fc00000 + i;
  }
  const x = probe.upload(bits);
  const out = probe.buffer(32 * COUNT);
  const dims = Float32Array.of(1, 0, 0, 0);
  const pipeline = probe.pipeline("edges", edgesWgsl);
  probe.submit([probe.dispatch(pipeline, COUNT / 64, { x, out, dims })]);
  await probe.done();
  const found = await probe.read(out);
  const asBits = new Uint32Array(found);
  const asValues = new Float32Array(found);
  let [tanhs, kept, flushed, unequal, sinError] = [0, 0, 0, 0, 0];
  for (let i = 0; i < COUNT; i++) {
    tanhs += Number(asValues[8 * i] === 1);
    const error = Math.abs(asValues[8 * i + 1] - Math.sin(angle(i)));
    sinError = Number.isNaN(error) ? Infinity : Math.max(sinError, error);
    const tiny = [asBits[8 * i + 2], asBits[8 * i + 3]];
    kept += Number(tiny.every((found) => found === bits[4 * i + 2]));
    flushed += Number(tiny.every((found) => (found & 0x7fffffff) === 0));
    unequal += asBits[8 * i + 4];
  }
  return {
    subnormals: kept === COUNT ? "kept" : flushed === COUNT ? "flushed" : "some",
    nanUnequal: unequal === COUNT,
    maxOfNan: kind(asValues[5]),
    zeroOverZero: kind(asValues[6]),
    bigTanh: extent(tanhs),
    sinError,
  } as const;
}
