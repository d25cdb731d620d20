import fma12Wgsl from "../../shaders/bench/fma12.wgsl";
import fma16Wgsl from "../../shaders/bench/fma16.wgsl";
import fma2x4Wgsl from "../../shaders/bench/fma2x4.wgsl";
import fma4Wgsl from "../../shaders/bench/fma4.wgsl";
import fma4x4Wgsl from "../../shaders/bench/fma4x4.wgsl";
import fma8Wgsl from "../../shaders/bench/fma8.wgsl";
import fma8x4Wgsl from "../../shaders/bench/fma8x4.wgsl";
import { rateMs } from "../clock.ts";
import { mustEqual } from "./exactly.ts";
import type { Dispatch, Probe } from "./probe.ts";

/** The chains that take turns: scalars or vec4s, more of them where an adapter answers late. */
const CHAINS = [
  { name: "fma4", code: fma4Wgsl, chains: 4 },
  { name: "fma8", code: fma8Wgsl, chains: 8 },
  { name: "fma12", code: fma12Wgsl, chains: 12 },
  { name: "fma16", code: fma16Wgsl, chains: 16 },
  { name: "fma2x4", code: fma2x4Wgsl, chains: 8 },
  { name: "fma4x4", code: fma4x4Wgsl, chains: 16 },
  { name: "fma8x4", code: fma8x4Wgsl, chains: 32 },
] as const;
/** Beyond what the engine's own loops may hold: here code of any length will do. */
const UNROLLS = [8, 16, 32] as const;
/** Multiply-adds of each chain. */
const STEPS = 16384;
const LANES = 64;
const MOST_GROUPS = 4096;
/** Long enough that starting the work does not count. */
const LEAST_MS = 4;

/** The arithmetic peak and how it was reached. */
export interface FmaPeak {
  readonly gflops: number;
  readonly shader: string;
  readonly unroll: number;
}

interface Variant extends FmaPeak {
  readonly dispatch: Dispatch;
  readonly flops: number;
}

/**
 * The largest rate of multiply-adds that any of the shaders reaches; a separate product and sum count as one does.
 *
 * Each is checked first, with whole numbers, whose sums are exact. More unrolling is tried while it does not make a
 * shader slower; the best six are then timed again.
 */
export async function fmaPeak(probe: Probe): Promise<FmaPeak> {
  const out = probe.buffer(4 * LANES * MOST_GROUPS);
  const found: Variant[] = [];
  let groups = 4;
  for (const { name, code, chains } of CHAINS) {
    let best = 0;
    for (const unroll of UNROLLS) {
      const pipeline = probe.pipeline(name, code, { TURNS: STEPS / unroll, UNROLL: unroll });
      const whole = { out, dims: Float32Array.of(1, 1, 0, 0) };
      const check = probe.dispatch(pipeline, 1, whole);
      probe.clear(out);
      probe.submit([check]);
      await probe.done();
      const sums = new Float32Array(await probe.read(out, 0, 4 * LANES));
      mustEqual(
        name,
        sums,
        (lane) => chains * (lane + STEPS) + (chains * (chains - 1)) / 2,
        `with UNROLL ${unroll}`,
      );

      const timed = (count: number): Dispatch =>
        probe.dispatch(pipeline, count, { out, dims: Float32Array.of(1 - 2 ** -14, 0.25, 0, 0) });
      const watch = probe.stopwatch();
      let dispatch = timed(groups);
      let sample = await watch.time(() => probe.submit([dispatch]));
      while (sample.ms < LEAST_MS && groups < MOST_GROUPS) {
        groups *= 2;
        dispatch = timed(groups);
        sample = await watch.time(() => probe.submit([dispatch]));
      }
      const flops = 2 * chains * STEPS * LANES * groups;
      let ms = rateMs(sample);
      for (let again = 0; again < 2; again++)
        ms = Math.min(ms, rateMs(await watch.time(() => probe.submit([dispatch]))));
      const gflops = flops / ms / 1e6;
      found.push({ shader: name, unroll, gflops, dispatch, flops });
      if (gflops < 0.8 * best) break;
      best = Math.max(best, gflops);
    }
  }
  const peaks: FmaPeak[] = [];
  for (const { shader, unroll, dispatch, flops, gflops } of found
    .sort((a, b) => b.gflops - a.gflops)
    .slice(0, 6)) {
    const ms = await probe.fastest(() => probe.submit([dispatch]), 8, rateMs);
    peaks.push({ shader, unroll, gflops: Math.max(gflops, flops / ms / 1e6) });
  }
  return peaks.reduce((a, b) => (b.gflops > a.gflops ? b : a));
}
