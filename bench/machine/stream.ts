import copyWgsl from "../../shaders/bench/copy.wgsl";
import sweepWgsl from "../../shaders/bench/sweep.wgsl";
import triadWgsl from "../../shaders/bench/triad.wgsl";
import { rateMs } from "../clock.ts";
import { mustEqual } from "./exactly.ts";
import type { Dispatch, Probe } from "./probe.ts";

const LANES = 256;
const UNROLLS = [1, 2, 4, 8] as const;
/** Turns of the loop: none to speak of, or so many that no compiler unrolls it by itself. */
const TRIPS = [1, 64] as const;
/** Every variant covers the buffer in whole groups of vec4s. */
const UNIT = 16 * LANES * 64 * 8;
const FACTOR = 3;
/** Values repeat after this many vec4s; a prime, so that no two lanes' sums are alike by their place. */
const PERIOD = 61;

/** Bytes a second to and from memory, in units of 10⁹. */
export interface StreamRates {
  readonly readGBs: number;
  readonly copyGBs: number;
  readonly triadGBs: number;
}

type Kind = "sweep" | "copy" | "triad";
const CODE: Record<Kind, string> = { sweep: sweepWgsl, copy: copyWgsl, triad: triadWgsl };
/** Buffers that a byte of the result stands for. */
const BUFFERS: Record<Kind, number> = { sweep: 1, copy: 2, triad: 3 };

/** The value at place `i` of the source. */
const source = (i: number): number => (i % (4 * PERIOD)) - 100;

interface Variant {
  readonly kind: Kind;
  readonly groups: number;
  readonly sizes: Readonly<Record<"LANES" | "LANE" | "STEP" | "TRIPS" | "UNROLL", number>>;
  readonly dispatch: Dispatch;
  readonly rate: number;
}

/**
 * The largest rates at which a shader reads, copies and adds buffers that no cache holds.
 *
 * Every variant is checked and timed on a quarter of the buffers, the best three of each kind on the whole.
 *
 * @param bytes size of each buffer
 */
export async function streamRates(probe: Probe, bytes: number): Promise<StreamRates> {
  const units = Math.max(4, Math.floor(bytes / UNIT / 4) * 4);
  const { mark } = probe;
  const values = new Float32Array((units * UNIT) / 4);
  for (let i = 0; i < values.length; i++) values[i] = source(i);
  const buffers = {
    x: probe.upload(values),
    y: probe.upload(values),
    out: probe.buffer(units * UNIT),
    dims: Float32Array.of(FACTOR, 0, 0, 0),
  };
  const rates = { sweep: 0, copy: 0, triad: 0 };
  try {
    for (const kind of ["sweep", "copy", "triad"] as const) {
      const quick: Variant[] = [];
      for (const sizes of variants(kind)) {
        const groups = (units * UNIT) / 16 / LANES / (sizes.TRIPS * sizes.UNROLL);
        if (groups > probe.gpu.limits.maxComputeWorkgroupsPerDimension) continue;
        const pipeline = probe.pipeline(kind, CODE[kind], sizes);
        const part = { ...probe.dispatch(pipeline, groups / 4, buffers), kind, sizes };
        await check(probe, kind, part, sizes, buffers.out);
        const ms = await probe.fastest(() => probe.submit([part]), 1, rateMs);
        const rate = traffic(kind, groups / 4, sizes) / ms / 1e6;
        quick.push({ kind, groups, sizes, dispatch: { ...part, groups }, rate });
      }
      quick.sort((a, b) => b.rate - a.rate);
      for (const { groups, sizes, dispatch } of quick.slice(0, 3)) {
        await check(probe, kind, dispatch, sizes, buffers.out);
        const ms = await probe.fastest(() => probe.submit([dispatch]), 3, rateMs);
        rates[kind] = Math.max(rates[kind], traffic(kind, groups, sizes) / ms / 1e6);
      }
    }
  } finally {
    probe.free(mark);
  }
  return { readGBs: rates.sweep, copyGBs: rates.copy, triadGBs: rates.triad };
}

type Sizes = Variant["sizes"];

/** Lanes side by side or each with a run of its own; loops or none; more or less in the loop's body. */
const variants = (kind: Kind): Sizes[] =>
  (kind === "sweep" ? [64] : TRIPS).flatMap((trips) =>
    UNROLLS.flatMap((unroll) => [
      { LANES, TRIPS: trips, UNROLL: unroll, LANE: 1, STEP: LANES },
      { LANES, TRIPS: trips, UNROLL: unroll, LANE: trips * unroll, STEP: 1 },
    ]),
  );

/** Bytes that go to and from memory. */
const traffic = (kind: Kind, groups: number, { TRIPS, UNROLL }: Sizes): number =>
  16 * LANES * TRIPS * UNROLL * groups * BUFFERS[kind];

/** Runs once and looks at the first, the middle and the last part of the result. */
async function check(
  probe: Probe,
  kind: Kind,
  dispatch: Dispatch,
  { LANE, STEP, TRIPS, UNROLL }: Sizes,
  out: GPUBuffer,
): Promise<void> {
  const each = TRIPS * UNROLL;
  const part = 4096;
  const written = 16 * LANES * dispatch.groups * (kind === "sweep" ? 1 : each);
  const parts = [0, Math.floor(written / 2 / part) * part, written - part];
  // What an earlier variant wrote must not pass for this one's.
  for (const from of parts) probe.clear(out, from, part);
  probe.submit([dispatch]);
  await probe.done();
  for (const from of parts) {
    const values = new Float32Array(await probe.read(out, from, part));
    mustEqual(kind, values, (index) => {
      const at = from / 4 + index;
      if (kind !== "sweep") return kind === "copy" ? source(at) : (1 + FACTOR) * source(at);
      const lane = Math.floor(at / 4);
      const first = Math.floor(lane / LANES) * LANES * each + (lane % LANES) * LANE;
      let sum = 0;
      for (let k = 0; k < each; k++) sum += source(4 * (first + k * STEP) + (at % 4));
      return sum;
    });
  }
}
