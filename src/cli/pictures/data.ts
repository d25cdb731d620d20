import type { Certificate, LossBound, TrackedStep } from "../../theory.ts";

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

/** A training run as its pictures show it: `mse` loss, all samples, no momentum. */
export interface TrainingData {
  n: number;
  outputs: number;
  parameters: number;
  steps: number;
  rate: number;
  /** The largest of H_0, as far as they are known. */
  eigenvalues: number[];
  /** From step 0 on, one at least. */
  tracked: readonly (TrackedStep & LossBound)[];
  certificate: Certificate | null;
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
