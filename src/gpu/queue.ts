import { GpuError } from "../errors.ts";
import type { ShaderLayout } from "./shader.ts";

/** What a long job tells its caller while it runs. */
export interface Progress {
  /** The stage at work, as the file tree names it: `forward`, `gram`, `lanczos`, … */
  readonly stage: string;
  /** Share of the stage's work that is done, 0 to 1. */
  readonly share: number;
}

/** How a caller follows and stops a long job. */
export interface Job {
  /** Aborting it ends the job at its next submission; the engine stays usable. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Told how many floating-point operations were recorded since the last call; may wait for the device. */
export type Meter = (flops: number) => Promise<void>;

/** Copies, which lie between passes. */
type Copies = (encoder: GPUCommandEncoder) => void;

interface Dispatch {
  readonly shader: ShaderLayout;
  readonly pipeline: Pipeline;
  readonly resources: readonly GPUBindingResource[];
  readonly groups: readonly [number, number, number];
}

interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Slots of the uniform ring: one a dispatch, so at most this many dispatches are recorded before a submission. */
const SLOTS = 256;
/** Values in a slot: every device binds uniforms at multiples of 256 bytes. */
const SLOT = 64;
/** Sums of `GPUBufferUsage` as the specification fixes them, as a library reads no globals. */
export const USAGE = {
  /** MAP_READ and COPY_DST. */
  staging: 0x1 | 0x8,
  /** UNIFORM and COPY_DST. */
  uniform: 0x40 | 0x8,
  /** STORAGE, COPY_SRC and COPY_DST. */
  matrix: 0x80 | 0x4 | 0x8,
} as const;
/** A texture as shaders are given it. */
const PANELS = {
  access: "read-only",
  format: "rgba32float",
  viewDimension: "2d-array",
} as const;
/** Browsers and Windows reset a device that is busy for too long: a submission aims at this many milliseconds. */
const SUBMISSION_MS = 50;
/** Submissions under way at once: one runs, one waits. */
const DEPTH = 2;
/** A device that has work for less than this many milliseconds is sent what is recorded, once that is as much. */
const IDLE_MS = 1;
/** What is destroyed waits for the next submission, up to so many bytes. */
const GONE_BYTES = 4 * 2 ** 20;
/** Where the end of a submission is predicted instead of waited for, it is waited for after this long all the same. */
const TRUST_MS = 400;
/** Share of a predicted time that is slept through before the device is asked. */
const SLEPT = 0.75;

/** The engine that a queue is of. */
interface Owner {
  readonly device: GPUDevice;
  guard<T>(what: string, make: () => T): T;
  settle<T>(promise: Promise<T>): Promise<T>;
}

/** A submission that the device may still be busy with. */
interface Batch {
  readonly flops: number;
  readonly since: number;
  /** Whether it had to wait for a compiler, so that its time says nothing of the device. */
  readonly fresh: boolean;
  /** When it is done, where asking costs nothing. */
  readonly done: Promise<unknown> | null;
}

/**
 * Records dispatches and submits them in short batches, about two under way, so that a device never looks hung nor
 * idle, a page stays responsive and an abort takes effect soon. How much fits a batch is learnt from the batches before.
 *
 * In Node a pending promise of the device keeps a core busy. There the host lends a way to sleep: the queue sleeps for
 * as long as the batches are predicted to take, and asks the device itself only now and then.
 */
export class Queue {
  readonly #device: GPUDevice;
  readonly #owner: Owner;
  readonly #pause: ((ms: number) => Promise<void>) | undefined;
  readonly #pipelines = new WeakMap<ShaderLayout, Map<string, Pipeline>>();
  readonly #ring: GPUBuffer;
  readonly #words = new Uint32Array(SLOTS * SLOT);
  readonly #floats = new Float32Array(this.#words.buffer);
  #recorded: (Dispatch | Copies)[] = [];
  #recordedFlops = 0;
  readonly #gone: { destroy(): void }[] = [];
  #goneBytes = 0;
  readonly #waiting: Batch[] = [];
  #flopsPerMs = 4e6;
  /** Whether a pipeline was made since the last submission. */
  #fresh = false;

  constructor(owner: Owner, pause: ((ms: number) => Promise<void>) | undefined) {
    const { device } = owner;
    this.#owner = owner;
    this.#device = device;
    this.#pause = pause;
    this.#ring = owner.guard("the uniform ring", () =>
      device.createBuffer({
        label: "dims",
        size: this.#words.byteLength,
        usage: USAGE.uniform,
      }),
    );
  }

  /** Floating-point operations that one dispatch should not pass: half a submission, at least 2²⁶. */
  get dispatchFlops(): number {
    return Math.max(2 ** 26, (this.#flopsPerMs * SUBMISSION_MS) / 2);
  }

  /** @internal what a search measured, to plan with until more is known */
  expect(flopsPerMs: number): void {
    this.#flopsPerMs = flopsPerMs;
  }

  /** @internal records one dispatch; `defineShader` is the way to call it */
  dispatch(
    shader: ShaderLayout,
    sizes: Readonly<Record<string, number>>,
    resources: readonly GPUBindingResource[],
    dims: readonly number[],
    groups: readonly [number, number, number],
    flops: number,
  ): void {
    const most = this.#device.limits.maxComputeWorkgroupsPerDimension;
    if (!groups.every((count) => count >= 1 && count <= most))
      throw new GpuError(
        "limit",
        `${shader.name}: a grid of ${groups.join(" × ")} workgroups is needed, but maxComputeWorkgroupsPerDimension is ${most}. Cut the work into smaller pieces.`,
      );
    if (this.#recorded.length === SLOTS) this.submit();
    const pipeline = this.#pipeline(shader, sizes);
    const slot = SLOT * this.#recorded.length;
    dims.forEach((value, index) => {
      (shader.dimTypes[index] === "f32" ? this.#floats : this.#words)[slot + index] = value;
    });
    this.#recorded.push({ shader, pipeline, resources, groups });
    this.#recordedFlops += flops;
  }

  /** @internal records copies, to be made after what was recorded before and ahead of what will be */
  copy(copies: Copies): void {
    if (this.#recorded.length === SLOTS) this.submit();
    this.#recorded.push(copies);
  }

  /** @internal destroys what recorded work may need still, once that is submitted */
  release(what: { destroy(): void }, bytes: number): void {
    this.#gone.push(what);
    if ((this.#goneBytes += bytes) > GONE_BYTES) this.submit();
  }

  /** Sends what is recorded to the device. */
  submit(): void {
    if (this.#recorded.length > 0) this.#send();
    this.#gone.splice(0).forEach((what) => what.destroy());
    // Dawn gives the memory back only at a later submission.
    if (this.#goneBytes > GONE_BYTES) this.#device.queue.submit([]);
    this.#goneBytes = 0;
  }

  #send(): void {
    const batch = this.#recorded;
    this.#recorded = [];
    const flops = this.#recordedFlops;
    this.#recordedFlops = 0;
    this.#owner.guard("a submission", () => {
      this.#device.queue.writeBuffer(this.#ring, 0, this.#words, 0, SLOT * batch.length);
      const encoder = this.#device.createCommandEncoder();
      let pass: GPUComputePassEncoder | null = null;
      batch.forEach((step, index) => {
        if (typeof step === "function") {
          pass?.end();
          pass = null;
          return step(encoder);
        }
        const { shader, pipeline, resources, groups } = step;
        pass ??= encoder.beginComputePass();
        const dims = { buffer: this.#ring, size: 16 * Math.ceil(shader.dimTypes.length / 4) };
        const group = this.#device.createBindGroup({
          label: shader.name,
          layout: pipeline.layout,
          entries: [
            ...resources.map((resource, at) => ({
              binding: shader.bindings[at].binding,
              resource,
            })),
            { binding: shader.dimsBinding, resource: dims },
          ],
        });
        pass.setPipeline(pipeline.pipeline);
        pass.setBindGroup(0, group, [4 * SLOT * index]);
        pass.dispatchWorkgroups(...groups);
      });
      (pass as GPUComputePassEncoder | null)?.end();
      this.#device.queue.submit([encoder.finish()]);
    });
    // Its failure is met by whoever waits for it.
    const done = this.#pause ? null : this.#device.queue.onSubmittedWorkDone();
    done?.catch(() => {});
    this.#waiting.push({ flops, since: Date.now(), fresh: this.#fresh, done });
    this.#fresh = false;
    // Whoever waits by means of its own never empties it.
    if (this.#waiting.length > 256) this.#waiting.shift();
  }

  /**
   * A place in a stage's loop where it may wait: reports progress, ends an aborted job, submits when a batch is full
   * and waits while two batches are under way.
   */
  async pace(job: Job | undefined, stage: string, share: number): Promise<void> {
    job?.signal?.throwIfAborted();
    job?.onProgress?.({ stage, share: Math.min(1, share) });
    const ms = this.#recordedFlops / this.#flopsPerMs;
    const full = ms > SUBMISSION_MS || this.#recorded.length > (SLOTS * 3) / 4;
    // What nobody has waited for yet stays little, however wrong the prediction is.
    const idle = this.#waiting.length < DEPTH && this.#rest() < IDLE_MS;
    if (full || (idle && ms > IDLE_MS)) this.submit();
    if (!full) return;
    await this.#makeRoom();
    job?.signal?.throwIfAborted();
  }

  /** Waits until no more than one batch, as far as can be told, is under way. */
  async #makeRoom(): Promise<void> {
    if (!this.#pause) {
      while (this.#waiting.length >= DEPTH) await this.#owner.settle(this.#waiting.shift()!.done!);
      return;
    }
    const rest = this.#rest();
    const behind = Date.now() + rest - (this.#waiting[0]?.since ?? 0);
    if (behind > TRUST_MS) await this.drain();
    else if (rest > SUBMISSION_MS) await this.#pause(rest - SUBMISSION_MS);
  }

  /** Milliseconds that the batches under way are predicted to take still. */
  #rest(): number {
    let end = 0;
    for (const { flops, since } of this.#waiting)
      end = Math.max(end, since) + flops / this.#flopsPerMs;
    return end - Date.now();
  }

  /** Follows a stage of `flops` operations: to be told, and waited for, after each dispatch's worth. */
  meter(job: Job | undefined, stage: string, flops: number): Meter {
    let done = 0;
    return (more) => this.pace(job, stage, (done += more) / flops);
  }

  /**
   * Waits until all that was submitted is done. Where the host lends a way to sleep, the predicted time is slept
   * through before the device is asked, because asking keeps a core busy in Node.
   *
   * @param ask what to wait for, which all that was submitted comes before; default that itself
   */
  async drain(ask?: () => Promise<unknown>): Promise<void> {
    this.submit();
    const rest = SLEPT * this.#rest();
    const batches = this.#waiting.splice(0);
    if (batches.length === 0 && !ask) return;
    if (this.#pause && rest > 2) await this.#pause(Math.min(rest, 1000));
    const asked = Date.now();
    await this.#owner.settle(ask?.() ?? this.#device.queue.onSubmittedWorkDone());
    if (batches.length === 0 || batches.some(({ fresh }) => fresh)) return;
    const flops = batches.reduce((sum, batch) => sum + batch.flops, 0);
    const took = Math.max(1, Date.now() - batches[0].since);
    if (Date.now() - asked <= 1) {
      // Done before it was asked for: how much faster is not known.
      if (rest > 2 || flops > this.#flopsPerMs * took) this.#flopsPerMs *= 2;
      return;
    }
    // A few operations take as long as asking does.
    if (took < SUBMISSION_MS / 10) return;
    this.#flopsPerMs = Math.max(1e4, (this.#flopsPerMs + flops / took) / 2);
  }

  #pipeline(shader: ShaderLayout, sizes: Readonly<Record<string, number>>): Pipeline {
    const bySizes = this.#pipelines.get(shader) ?? new Map<string, Pipeline>();
    this.#pipelines.set(shader, bySizes);
    const key = JSON.stringify(sizes);
    const known = bySizes.get(key);
    if (known) return known;
    const label = shader.name;
    const made = this.#owner.guard(`${label}: its pipeline`, () => {
      const layout = this.#device.createBindGroupLayout({
        label,
        entries: [
          ...shader.bindings.map(({ binding, access }) => ({
            binding,
            visibility: COMPUTE,
            ...(access === "texture"
              ? { storageTexture: PANELS }
              : { buffer: { type: access === "read" ? "read-only-storage" : "storage" } as const }),
          })),
          {
            binding: shader.dimsBinding,
            visibility: COMPUTE,
            buffer: { type: "uniform" as const, hasDynamicOffset: true },
          },
        ],
      });
      const pipeline = this.#device.createComputePipeline({
        label,
        layout: this.#device.createPipelineLayout({ label, bindGroupLayouts: [layout] }),
        compute: {
          module: this.#device.createShaderModule({ label, code: shader.code }),
          entryPoint: shader.name,
          constants: { ...sizes },
        },
      });
      return { pipeline, layout };
    });
    bySizes.set(key, made);
    this.#fresh = true;
    return made;
  }

  /** @internal frees the ring and what waits to be freed */
  destroy(): void {
    this.#recorded = [];
    this.release(this.#ring, Infinity);
  }
}

/** `GPUShaderStage.COMPUTE`, as the specification fixes it: a library reads no globals. */
const COMPUTE = 0x4;
