import type { Gpu } from "../src/index.ts";
import type { Clock } from "./clock.ts";
import { fmaPeak } from "./machine/fma.ts";
import {
  barrierNanoseconds,
  compileMilliseconds,
  latencies,
  workgroupGBs,
  type Latencies,
} from "./machine/latency.ts";
import { Probe } from "./machine/probe.ts";
import { streamRates, type StreamRates } from "./machine/stream.ts";

/** What a machine can do at the most: the measure that every shader is held against. */
export interface Machine extends StreamRates, Latencies {
  /** What the rates are of: one core of a software adapter, by CPU time, or the whole device, by wall time. */
  readonly per: "core" | "device";
  readonly fmaGflops: number;
  /** The shader that reached it, and how far its loop was unrolled. */
  readonly fma: { readonly shader: string; readonly unroll: number };
  /** Of one group of 64 lanes. */
  readonly barrierNanoseconds: number;
  readonly workgroupGBs: number;
  /** From text to the end of the first dispatch: two statements, and 128 loads and multiply-adds. */
  readonly compileMilliseconds: { readonly small: number; readonly large: number };
}

/** How a bench is followed and stopped. */
export interface Follow {
  readonly signal?: AbortSignal;
  /** Told what is measured next. */
  readonly say?: (what: string) => void;
}

/**
 * Measures a machine.
 *
 * Rates are the largest that any variant reached; on a software adapter, where the clock knows CPU time, per core.
 *
 * @param software whether the adapter is software: smaller buffers do then
 *
 * **Cost** 3 to 8 seconds on a software adapter.
 */
export async function machine(
  gpu: Gpu,
  clock: Clock,
  software: boolean,
  { signal, say }: Follow = {},
): Promise<Machine> {
  const probe = new Probe(gpu, clock, signal);
  try {
    const told = async <T>(what: string, measure: () => Promise<T>): Promise<T> => {
      say?.(`machine: ${what}`);
      return measure();
    };
    const { gflops, ...fma } = await told("arithmetic", () => fmaPeak(probe));
    const bytes = Math.min((software ? 64 : 128) * 2 ** 20, gpu.limits.maxStorageBufferBindingSize);
    const rates = await told("memory", () => streamRates(probe, bytes));
    const group = await told("workgroup memory", () => workgroupGBs(probe));
    const barrier = await told("barriers", () => barrierNanoseconds(probe));
    const starting = await told("dispatches", () => latencies(probe));
    const compiling = await told("compiling", () => compileMilliseconds(probe));
    return {
      per: clock.cpu ? "core" : "device",
      fmaGflops: gflops,
      ...rates,
      ...starting,
      barrierNanoseconds: barrier,
      workgroupGBs: group,
      compileMilliseconds: compiling,
      fma,
    };
  } finally {
    probe.free();
  }
}
