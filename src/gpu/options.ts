import type { Gpu } from "./device.ts";
import type { Matrix, Operand } from "./matrix.ts";
import type { Limits } from "./plan.ts";

/** What `openGpu` is given: one of `gpu`, `adapter` and `device`, whichever the host has at hand. */
export interface OpenOptions {
  /** `navigator.gpu`, or what another implementation of WebGPU hands out. */
  readonly gpu?: GPU;
  readonly adapter?: GPUAdapter;
  /** A device of the caller's own: borrowed, so never destroyed here, and its handlers are left alone. */
  readonly device?: GPUDevice;
  /** Limits to plan with where they are smaller than the device's: how a small device is tried out on a large one. */
  readonly limits?: Partial<Limits>;
  /** Kept alive as long as the engine: in Node the object that `create()` of `webgpu` returned. */
  readonly hold?: unknown;
  /** Sleeps; lent by hosts where waiting for the device keeps a core busy. */
  readonly pause?: (ms: number) => Promise<void>;
  /**
   * Waits for a promise of the device; lent by hosts that can do so at less cost than by waiting. Default: where the idle
   * device takes 20 ms and more to answer, as Firefox's does, it is made to look by empty submissions meanwhile.
   */
  readonly breathe?: <T>(promise: Promise<T>) => Promise<T>;
  /** What errors and results call the adapter; default its own description. */
  readonly description?: string;
  /** Whether the fastest kernels are searched for at first use; default true, false for fixed ones. */
  readonly search?: boolean;
  /** Where what a search found is kept: in a browser `localStorage`. */
  readonly store?: Store;
  /** Kernel classes of the product beyond those that any host may have, by name; the search tries them as well. */
  readonly classes?: Readonly<Record<string, KernelClass>>;
  /** What to make use of where the adapter has it; default subgroups. */
  readonly features?: readonly string[];
  /** The host in words, which a kept search holds for: a browser's or Node's version. */
  readonly runtime?: string;
}

/** One way of computing products: a WGSL file with its fragments, and where it can run. */
export interface KernelClass {
  /**
   * Its entry point has the class's name; everyLane.wgsl or oneLane.wgsl is in it, for epilogues, and where it has operands
   * laid out, what they are bound as.
   */
  readonly wgsl: string;
  /** The `override` constants with their defaults. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Rows and columns of a workgroup's tile; columns a multiple of rows. */
  tile(sizes: Readonly<Record<string, number>>): readonly [number, number];
  /** The sizes to try on a device; none where it cannot run there. */
  plans?(device: GPUDevice): Readonly<Record<string, number>>[];
  /**
   * Makes room to lay the operands of a product out as the class reads them, `depth` rows at a time; null where that is
   * not worth it or does not fit.
   */
  lay?(gpu: Gpu, left: Matrix, right: Matrix, part: Part, depth: number): Laid | null;
  /** The class, of the same sizes, for operands that are not laid out. */
  readonly otherwise?: string;
  /** Why a device is not to use it, by products that it is asked for; empty where it may. */
  check?(gpu: Gpu, multiply: Multiply): Promise<string>;
}

/** A rectangle of the whole result [left's columns, right's columns]; its corner at multiples of 16. */
export interface Part {
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
}

/** Room for the columns of a part, laid out, for as long as the product is recorded. */
export interface Laid extends Disposable {
  /** Records the copies of the rows from `first` on, in place of those before. */
  fill(first: number): { readonly left: Operand; readonly right: Operand };
}

/** out = leftᵀ right. */
export type Multiply = (buffers: {
  readonly left: Matrix;
  readonly right: Matrix;
  readonly out: Matrix;
}) => Promise<void>;

/** Texts by name, kept beyond this run; the part of the Web's `Storage` that is needed. */
export interface Store {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
}
