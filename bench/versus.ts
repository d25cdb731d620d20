import type { NetworkSpec } from "../src/index.ts";
import { stopwatch } from "./clock.ts";
import { rowKey, type PeerResult } from "./results.ts";
import type { Bench, Row } from "./run.ts";
import { median, summary } from "./stats.ts";

/** Work as other packages take it: matrices row-major, samples as rows. */
export type Work =
  | {
      readonly kind: "gemm";
      readonly n: number;
      readonly k: number;
      readonly m: number;
      /** [n, k] and [k, m]. */
      readonly a: Float32Array;
      readonly b: Float32Array;
    }
  | { readonly kind: "jjt"; readonly n: number; readonly k: number; readonly j: Float32Array }
  | {
      readonly kind: "ntk";
      readonly spec: NetworkSpec;
      readonly n: number;
      readonly inputs: Float32Array;
      readonly weights: readonly { weight: Float32Array; bias: Float32Array | null }[];
    }
  | {
      /** One step of plain gradient descent on Σ ½ (f − y)² of all samples: the parameters after it. */
      readonly kind: "step";
      readonly spec: NetworkSpec;
      readonly n: number;
      readonly rate: number;
      readonly inputs: Float32Array;
      readonly targets: Float32Array;
      readonly weights: readonly { weight: Float32Array; bias: Float32Array | null }[];
    }
  | {
      /** Eigenvalues and eigenvectors, or the lower factor, of a symmetric matrix [n, n]. */
      readonly kind: "eigh" | "cholesky";
      readonly n: number;
      readonly a: Float32Array;
    };

/** A work with its operands where a package wants them. */
export interface PeerJob {
  run(): Promise<{ readonly ms: number; readonly cpuMs: number }>;
  /** The last run's result. */
  read(): Promise<Float32Array>;
  destroy(): Promise<void>;
}

/** Another package on one backend; `bench/peers/peers.mjs` opens them. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  readonly backend: string;
  /** Whether it works on the adapter; else on the processor. */
  readonly device: boolean;
  /** Null where it does not do such work. */
  prepare(work: Work): Promise<PeerJob | null>;
}

/** What judges the result of a work: plain loops in f64, `bench/peers/check.mjs`. */
export type Judge = (
  work: Work,
) => (values: Float32Array) => { readonly correct: boolean; readonly error?: string };

/** The packages that are open, and who judges them. */
export interface Peers {
  readonly peers: readonly Peer[];
  readonly judge: Judge;
}

const ROUNDS = 9;
const FEWEST = 3;
/** Before each turn: threads that wait for more work of the one before by asking for it give up by then. */
const REST_MS = 200;
const MOST_MS = 20_000;
/** What takes less than this is run for that long before it is timed: clocks are slow and caches cold after the rest. */
const QUICK_MS = 500;
/** What takes this long to warm up is not warmed up further, and timed once. */
const SLOW_MS = 5_000;

/**
 * Times other packages against ours at the same work, in turns: round after round, ours first, so that none has the
 * better hour. A package whose result is wrong is listed, but not timed.
 *
 * @returns nothing for a row whose work no package does
 */
export async function versus(
  bench: Bench,
  row: Row,
  { peers, judge }: Peers,
  say: (what: string) => void = () => {},
): Promise<PeerResult[]> {
  const { gpu, clock, signal } = bench;
  const work = row.work?.();
  if (!work) return [];
  const prepared = await row.make(gpu);
  const jobs: { peer: Peer; job: PeerJob; rounds: number; ms: number[]; cpuMs: number[] }[] = [];
  const results: PeerResult[] = [];
  const listed = ({ name, version, backend }: Peer) => ({
    ...{ name, version, backend, work: row.name, size: row.size },
  });
  try {
    if (!((await prepared.check()) <= 1)) return [];
    const right = judge(work);
    for (const peer of peers) {
      signal?.throwIfAborted();
      say(`${rowKey(row)}: ${peer.name} on ${peer.backend}`);
      let job: PeerJob | null = null;
      try {
        job = await peer.prepare(work);
        if (!job) continue;
        const since = clock.now();
        for (let warm = 0; warm < 3 && clock.now() - since < SLOW_MS; warm++) await job.run();
        const slow = clock.now() - since >= SLOW_MS;
        const { correct, error = null } = right(await job.read());
        if (correct) jobs.push({ peer, job, rounds: slow ? 1 : ROUNDS, ms: [], cpuMs: [] });
        else {
          results.push({ ...listed(peer), ms: null, ratio: null, correct, error });
          await job.destroy();
        }
      } catch (error) {
        const { message } = error as Error;
        results.push({ ...listed(peer), ms: null, ratio: null, correct: false, error: message });
        await job?.destroy().catch(() => {});
      }
    }
    const warm = async (run: () => Promise<unknown>, lastMs = 0) => {
      if (!clock.sleep || lastMs >= QUICK_MS) return;
      const until = clock.now() + QUICK_MS;
      do await run();
      while (clock.now() < until);
    };
    const watch = stopwatch(bench, prepared);
    const ours: number[] = [];
    const began = clock.now();
    const failed = new Map<Peer, string>();
    for (
      let round = 0;
      round < ROUNDS && (round < FEWEST || clock.now() - began < MOST_MS);
      round++
    ) {
      signal?.throwIfAborted();
      await clock.sleep?.(REST_MS);
      const timed = () =>
        watch.time(async () => {
          await prepared.run();
          gpu.queue.submit();
        });
      await warm(timed, ours.at(-1));
      ours.push((await timed()).ms);
      for (const { peer, job, rounds, ms, cpuMs } of jobs) {
        if (failed.has(peer) || round >= rounds) continue;
        try {
          await clock.sleep?.(REST_MS);
          if (rounds > 1) await warm(job.run, ms.at(-1));
          const sample = await job.run();
          ms.push(sample.ms);
          cpuMs.push(sample.cpuMs);
        } catch (error) {
          failed.set(peer, (error as Error).message);
        }
      }
    }
    const oursMs = summary(ours);
    for (const { peer, ms, cpuMs } of jobs) {
      const error = failed.get(peer) ?? null;
      results.push(
        error === null
          ? {
              ...listed(peer),
              ms: summary(ms),
              cpuMs: median(cpuMs),
              oursMs,
              ratio: median(ms) / oursMs.median,
              correct: true,
              error,
            }
          : { ...listed(peer), ms: null, ratio: null, correct: false, error },
      );
    }
    return results;
  } finally {
    for (const { job } of jobs) await job.destroy().catch(() => {});
    prepared.destroy();
  }
}
