import type { Trained } from "../../theory.ts";

/** What `ntk spectrum` says of H's eigenvalues. */
export interface Spectrum {
  /** Largest first. */
  eigenvalues: number[];
  /** Half width of the interval around each eigenvalue. */
  errorBounds: number[];
  /** Place of each eigenvalue in the whole spectrum, from 0; left out when they are the first ones or all. */
  indices?: number[];
  lambdaMax: number;
  lambdaMin: number;
  /** λ_max/λ_min; null where λ_min's interval holds 0. */
  condition: number | null;
  /** (tr H)²/‖H‖_F² */
  effectiveRank: number;
  trace: number;
  boundKind: string;
  /** With which probability the intervals hold, where they are not guaranteed. */
  confidence?: number;
  precision: string;
  steps: number;
  converged: boolean;
  /** Seconds of each stage. */
  stages: Record<string, number>;
}

/** A training run, and what it was made of; tracked from step 0 on. */
export interface RunData extends Pick<Trained, "rate" | "regime" | "tracked" | "certificate"> {
  readonly n: number;
  readonly outputs: number;
  readonly parameters: number;
  readonly steps: number;
}

/** A training run as its pictures show it: `mse` loss, all samples, no momentum. */
export interface TrainingData extends RunData {
  /** The largest of H_0, as far as they are known. */
  eigenvalues: number[];
}

/** All that the report shows. H has N = n · outputs rows; row i·O + a is output a of sample i. */
export interface ReportData {
  title: string;
  /** The network file's content. */
  network: object;
  /** Where the inputs come from: "mnist:0,1:512". */
  inputs: string;
  adapter: string;
  n: number;
  outputs: number;
  parameters: number;
  spectrum: Spectrum;
  /** [N, N], row-major. */
  gram: Float32Array | Float64Array;
  /** One label a sample, [n]. */
  classes: number[] | null;
  /** The row drawn at each position, [N] (see `orderByClass`). */
  order: Uint32Array | null;
  /** Eigenvectors as rows, [k, N]. */
  vectors: Float32Array | null;
  /** Left out where the network was not trained. */
  training?: TrainingData;
}
