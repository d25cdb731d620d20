import type { Fingerprint } from "./fingerprint.ts";
import type { Machine } from "./machine.ts";
import type { Summary } from "./stats.ts";

/** What a result says of the adapter that it was measured on. */
export interface AdapterLabel {
  readonly description: string;
  readonly vendor: string;
  readonly driver: string;
  /** What runs WebGPU: `Node 20.1.0, webgpu 0.6.2`, or the browser's own words. */
  readonly runtime: string;
  readonly software: boolean;
}

/** The sizes of a row by their names: `{ n: 512, k: 2048 }`. */
export type Size = Readonly<Record<string, number>>;

/** One row of a bench. All speeds are null where the check failed: a wrong answer has none. */
export interface RowResult {
  readonly name: string;
  readonly size: Size;
  readonly checked: boolean;
  /** Largest error ÷ bound of the check; null where that is not a number. */
  readonly error: number | null;
  /** Wall time of one call. */
  readonly ms: Summary | null;
  /** CPU time of one call over all threads of a software adapter, its median and its noise; else null. */
  readonly cpuMs: number | null;
  readonly cpuNoise: number | null;
  /** How often it was timed, and how many calls each time. */
  readonly repeats: number;
  readonly calls: number;
  /** Operations of one call, of a symmetric product the full 2 · N² · K; bytes it cannot do without. */
  readonly flops: number;
  readonly bytes: number;
  /** Rates in 10⁹ a second: per core, from `cpuMs`, where that is known, else from `ms`. */
  readonly gflops: number | null;
  readonly gbs: number | null;
  /** The fraction of the machine's rate that binds, which `of` names; null where the host computes. */
  readonly share: number | null;
  readonly of: "fma" | "read" | "copy" | null;
  /** The fraction of another row's GFLOP/s in the same run, and that row's name and size; null without such a row. */
  readonly against: { readonly row: string; readonly share: number } | null;
  /** The kernel class that was chosen, and its sizes; null where there is nothing to choose. */
  readonly class: string | null;
  readonly sizes: Size | null;
}

/** A row that was not measured. */
export interface SkippedRow {
  readonly name: string;
  readonly size: Size;
  readonly why: string;
}

/** Another engine at the same work on the same adapter. */
export interface PeerResult {
  readonly name: string;
  readonly version: string;
  /** The name of the row whose work it did. */
  readonly work: string;
  readonly size: Size;
  readonly ms: Summary | number | null;
  /** Its median over ours; above 1 we are faster. Null where its result is wrong. */
  readonly ratio: number | null;
  readonly correct: boolean;
  readonly error?: number | string | null;
  readonly [more: string]: unknown;
}

/** What `ntk bench --json` prints. */
export interface BenchResult {
  readonly adapter: AdapterLabel;
  /** Of the checkout, with a + where it had changes; null outside one. */
  readonly commit: string | null;
  readonly date: string;
  readonly machine: Machine;
  readonly fingerprint: Fingerprint;
  readonly rows: readonly RowResult[];
  readonly skipped: readonly SkippedRow[];
  readonly peers: readonly PeerResult[];
}

/** A size as people read it and names select it: `n=512 k=2048`. */
export const sizeText = (size: Size): string =>
  Object.entries(size)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

/** Name and size of a row: what tells it from the others. */
export const rowKey = ({ name, size }: { readonly name: string; readonly size: Size }): string =>
  `${name} ${sizeText(size)}`.trim();
