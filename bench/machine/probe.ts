import { GpuError, type Gpu } from "../../src/index.ts";
import { Stopwatch, type Clock, type Sample } from "../clock.ts";

/** `GPUBufferUsage` and `GPUShaderStage.COMPUTE`, as the specification fixes them. */
const MAP_READ = 0x1;
const COPY_SRC = 0x4;
const COPY_DST = 0x8;
const UNIFORM = 0x40;
const STORAGE = 0x80;
const COMPUTE = 0x4;

/** The four bindings that the shaders of `shaders/bench` share; each uses some of them. */
export interface Buffers {
  readonly x?: GPUBuffer;
  readonly y?: GPUBuffer;
  readonly out?: GPUBuffer;
  /** Up to four numbers; `dims` of the shader. */
  readonly dims?: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
}

/** A shader with its buffers and its grid, ready to be dispatched. */
export interface Dispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly groups: number;
}

/**
 * The device by itself: what a machine can do is measured without the engine's queue, whose submissions are none of
 * the machine's doing.
 */
export class Probe {
  readonly gpu: Gpu;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
  readonly #device: GPUDevice;
  readonly #layout: GPUBindGroupLayout;
  readonly #owned: GPUBuffer[] = [];
  readonly #nothing: GPUBuffer;
  #faults: Promise<GPUError | null>[] = [];

  constructor(gpu: Gpu, clock: Clock, signal?: AbortSignal) {
    this.gpu = gpu;
    this.clock = clock;
    this.signal = signal;
    this.#device = gpu.device;
    const storage = (binding: number, type: GPUBufferBindingType) => ({
      binding,
      visibility: COMPUTE,
      buffer: { type },
    });
    this.#layout = gpu.device.createBindGroupLayout({
      label: "bench",
      entries: [
        storage(0, "read-only-storage"),
        storage(1, "read-only-storage"),
        storage(2, "storage"),
        storage(3, "uniform"),
      ],
    });
    this.#nothing = this.buffer(16);
  }

  /** A buffer of zeros, freed with the probe. @param bytes a multiple of 16 */
  buffer(bytes: number, usage = STORAGE | COPY_SRC | COPY_DST): GPUBuffer {
    const made = this.#guard(() =>
      this.#device.createBuffer({ label: "bench", size: bytes, usage }),
    );
    this.#owned.push(made);
    return made;
  }

  /** A buffer with these values. */
  upload(values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): GPUBuffer {
    const made = this.buffer(Math.ceil(values.byteLength / 16) * 16);
    this.#device.queue.writeBuffer(made, 0, values);
    return made;
  }

  /** Sets part of a buffer to zero. */
  clear(buffer: GPUBuffer, from = 0, bytes = buffer.size - from): void {
    const encoder = this.#device.createCommandEncoder();
    encoder.clearBuffer(buffer, from, bytes);
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Buffers alive; {@link free} takes it to know where to begin. */
  get mark(): number {
    return this.#owned.length;
  }

  /** Frees every buffer that was made since a mark; all of them by default. */
  free(mark = 0): void {
    this.#owned.splice(mark).forEach((buffer) => buffer.destroy());
    // Dawn gives the memory back only at a later submission.
    this.#device.queue.submit([]);
  }

  /** A shader's pipeline. @param name entry point; @param sizes its `override` constants */
  pipeline(name: string, code: string, sizes: Record<string, number> = {}): GPUComputePipeline {
    return this.#guard(() =>
      this.#device.createComputePipeline({
        label: name,
        layout: this.#device.createPipelineLayout({ bindGroupLayouts: [this.#layout] }),
        compute: {
          module: this.#device.createShaderModule({ label: name, code }),
          entryPoint: name,
          constants: sizes,
        },
      }),
    );
  }

  dispatch(pipeline: GPUComputePipeline, groups: number, buffers: Buffers): Dispatch {
    const { x = this.#nothing, y = this.#nothing, dims } = buffers;
    const values = dims ?? new Float32Array(4);
    const uniform = this.buffer(16, UNIFORM | COPY_DST);
    this.#device.queue.writeBuffer(uniform, 0, values);
    // A buffer may not be read and written in one dispatch, so that absent ones need a second nothing.
    const out = buffers.out ?? this.buffer(16);
    const group = this.#guard(() =>
      this.#device.createBindGroup({
        layout: this.#layout,
        entries: [x, y, out, uniform].map((buffer, binding) => ({
          binding,
          resource: { buffer },
        })),
      }),
    );
    return { pipeline, group, groups };
  }

  /** Submits passes of dispatches, all in one submission. */
  submit(...passes: readonly (readonly Dispatch[])[]): void {
    const encoder = this.#device.createCommandEncoder();
    for (const dispatches of passes) {
      const pass = encoder.beginComputePass();
      for (const { pipeline, group, groups } of dispatches) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(groups);
      }
      pass.end();
    }
    this.#device.queue.submit([encoder.finish()]);
  }

  /** Waits for what was submitted. @throws GpuError "shader" for what the device complained about */
  async done(): Promise<void> {
    await this.gpu.settle(this.#device.queue.onSubmittedWorkDone());
    const faults = this.#faults;
    this.#faults = [];
    for (const fault of await Promise.all(faults))
      if (fault)
        throw new GpuError(
          "shader",
          `bench: a probe failed on ${this.gpu.description}, but must run: ${fault.message}`,
        );
    this.signal?.throwIfAborted();
  }

  stopwatch(clock = this.clock): Stopwatch {
    return new Stopwatch(clock, () => this.done());
  }

  /**
   * The shortest of `count` times of the same work, after one that does not count.
   *
   * @param judge what counts as short
   */
  async fastest(
    work: () => void,
    count: number,
    judge: (sample: Sample) => number,
    clock = this.clock,
  ): Promise<number> {
    const watch = this.stopwatch(clock);
    await watch.time(work);
    let least = Infinity;
    for (let i = 0; i < count; i++) least = Math.min(least, judge(await watch.time(work)));
    return least;
  }

  /** Reads part of a buffer back. */
  async read(buffer: GPUBuffer, from = 0, bytes = buffer.size - from): Promise<ArrayBuffer> {
    const staging = this.#guard(() =>
      this.#device.createBuffer({ label: "bench", size: bytes, usage: MAP_READ | COPY_DST }),
    );
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, from, staging, 0, bytes);
      this.#device.queue.submit([encoder.finish()]);
      await this.gpu.settle(staging.mapAsync(1));
      return staging.getMappedRange().slice(0);
    } finally {
      staging.destroy();
    }
  }

  #guard<T>(make: () => T): T {
    const scopes = ["validation", "out-of-memory", "internal"] as const;
    scopes.forEach((scope) => this.#device.pushErrorScope(scope));
    try {
      return make();
    } finally {
      for (let i = 0; i < scopes.length; i++)
        this.#faults.push(this.#device.popErrorScope().catch(() => null));
    }
  }
}
