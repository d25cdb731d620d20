import { GpuError, InputError } from "../errors.ts";
import { Matrix, dispose, matrixBytes, pitch } from "./matrix.ts";
import { waiting } from "./nudge.ts";
import type { OpenOptions } from "./options.ts";
import { checkMatrixFits, type Limits } from "./plan.ts";
import { USAGE, Queue, type Job } from "./queue.ts";
import { checkOptions, checkValues, described, type Values } from "./values.ts";

/** Memory on the device that an engine owns at present. */
export interface GpuStats {
  readonly buffers: number;
  readonly bytes: number;
  readonly peakBytes: number;
}

const LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** What the engine makes use of where an adapter has it, and does without elsewhere. */
const FEATURES: readonly string[] = ["subgroups"];

/**
 * Opens an engine on a WebGPU device.
 *
 * ```ts
 * using gpu = await openGpu({ gpu: navigator.gpu });
 * ```
 *
 * @param options exactly one of `gpu`, `adapter`, `device`; see {@link OpenOptions}
 * @throws InputError for wrong options, GpuError "adapter" where there is none
 */
export async function openGpu(options: OpenOptions): Promise<Gpu> {
  checkOptions("openGpu", options, [
    ...["gpu", "adapter", "device", "limits", "hold", "pause", "breathe", "description"],
    ...["search", "store", "classes", "features", "runtime"],
  ]);
  const given = (["gpu", "adapter", "device"] as const).filter((key) => options[key] !== undefined);
  if (options.limits) {
    checkOptions("openGpu limits", options.limits, LIMITS);
    for (const [name, value] of Object.entries(options.limits))
      if (value !== undefined && !(value >= 0))
        throw new InputError(
          `openGpu: limits.${name} is ${described(value)}, but must be a number from 0. Correct it.`,
        );
  }
  if (given.length !== 1)
    throw new InputError(
      `openGpu: ${given.length === 0 ? "none" : given.join(" and ")} of gpu, adapter and device given, but exactly one must be. In a browser hand in { gpu: navigator.gpu }.`,
    );
  const lent = options.device;
  if (lent) return new Gpu(lent, await waiting(options, lent), "borrowed device", false);
  const adapter =
    options.adapter ??
    (await options.gpu?.requestAdapter({ powerPreference: "high-performance" })) ??
    null;
  if (!adapter)
    throw new GpuError(
      "adapter",
      "openGpu: the host's WebGPU has no adapter, but one is needed. Switch on WebGPU or install a driver.",
    );
  const requiredLimits = Object.fromEntries(
    [...LIMITS, "maxComputeWorkgroupStorageSize" as const].map((name) => [
      name,
      adapter.limits[name],
    ]),
  );
  const requiredFeatures = (options.features ?? FEATURES).filter((feature) =>
    adapter.features.has(feature),
  ) as GPUFeatureName[];
  const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
  const { description, vendor, architecture } = adapter.info;
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  return new Gpu(device, await waiting(options, device), name, true);
}

/** An engine on one device: makes matrices, reads them back, counts its memory. Made by {@link openGpu}. */
export class Gpu {
  readonly device: GPUDevice;
  readonly description: string;
  readonly limits: Limits;
  /** Lanes that every subgroup has at least; 0 where shaders cannot use subgroups. */
  readonly subgroupLanes: number;
  /** What the host lent for the search of kernels. @internal */
  readonly host: Pick<
    OpenOptions,
    "search" | "store" | "classes" | "runtime" | "pause" | "breathe"
  >;
  /** @internal */
  readonly queue: Queue;
  readonly #owned: boolean;
  #lostMessage: string | null = null;
  #faults: Promise<void>[] = [];
  #fault: GpuError | null = null;
  readonly #waiting = new Set<(error: unknown) => void>();
  #stats = { buffers: 0, bytes: 0, peakBytes: 0 };

  /** @internal use {@link openGpu} */
  constructor(device: GPUDevice, options: OpenOptions, description: string, owned: boolean) {
    this.device = device;
    this.description = options.description ?? description;
    this.#owned = owned;
    this.host = { ...options };
    this.limits = Object.fromEntries(
      LIMITS.map((name) => [
        name,
        Math.min(options.limits?.[name] ?? Infinity, device.limits[name]),
      ]),
    ) as unknown as Limits;
    this.subgroupLanes = device.features.has("subgroups")
      ? (device.adapterInfo?.subgroupMinSize ?? 0)
      : 0;
    if (options.hold !== undefined) HELD.add(options.hold);
    void device.lost.then((info) => {
      HELD.delete(options.hold);
      this.#lostMessage ??= `the device was lost (${info.reason}: ${info.message}), but must be there to compute. Open it again.`;
      for (const reject of this.#waiting) reject(this.#lostError());
      this.#waiting.clear();
    });
    this.queue = new Queue(this, options.pause && ((ms) => this.#orLost(options.pause!(ms))));
  }

  /** Memory that this engine owns on the device; all zero after the last `destroy()`. */
  stats(): GpuStats {
    return { ...this.#stats };
  }

  /**
   * A matrix of zeros on the device.
   *
   * @param name what errors call it
   * @throws InputError for a wrong shape, GpuError "limit" where it does not fit a binding
   */
  matrix(name: string, rows: number, columns: number): Matrix {
    return this.#matrix(name, rows, columns, null);
  }

  /**
   * A matrix with the caller's values, which are copied before this returns.
   *
   * @param values [rows, columns] row-major, or [columns, rows] with `transpose`
   * @throws InputError for a wrong length or a buffer that is shared or detached, NonFiniteError for NaN or infinity
   */
  upload(name: string, rows: number, columns: number, values: Values, transpose = false): Matrix {
    checkValues(name, "the array", values, rows * columns);
    const width = pitch(columns);
    return this.#matrix(name, rows, columns, (target) => {
      if (transpose) {
        for (let j = 0; j < columns; j++)
          for (let i = 0; i < rows; i++) target[i * width + j] = values[j * rows + i];
      } else {
        for (let i = 0; i < rows; i++)
          target.set(values.subarray(i * columns, (i + 1) * columns), i * width);
      }
    });
  }

  /**
   * Overwrites part of one row of a matrix with these very bits.
   *
   * @param first column that the first of them goes to
   * @throws InputError where they do not fit the row
   */
  writeBits(matrix: Matrix, row: number, bits: Values, first = 0): void {
    if (!(row >= 0 && row < matrix.rows && first >= 0 && first + bits.length <= matrix.columns))
      throw new InputError(
        `${matrix.name}: ${bits.length} values from column ${first} of row ${row} were given, but it is ${matrix.rows} × ${matrix.columns}. Stay inside.`,
      );
    this.queue.submit();
    this.guard(`${matrix.name}: a row`, () =>
      this.device.queue.writeBuffer(
        matrix.buffer,
        (row * matrix.pitch + first) * 4,
        bits as Float32Array<ArrayBuffer>,
      ),
    );
  }

  /**
   * Reads rows of a matrix back, padding removed.
   *
   * @param into where they go, if not to an array of their own
   * @returns f32 [rows, columns] row-major
   * @throws GpuError where the device failed since the last wait
   */
  async read(
    matrix: Matrix,
    job?: Job,
    firstRow = 0,
    rows = matrix.rows - firstRow,
    into?: Float32Array<ArrayBuffer>,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { columns } = matrix;
    if (matrix.gpu !== this)
      throw new InputError(
        `${matrix.name}: the matrix belongs to another engine, but must be of the one that reads it. Read it there.`,
      );
    if (!(
      Number.isSafeInteger(firstRow + rows) &&
      firstRow >= 0 &&
      rows >= 1 &&
      firstRow + rows <= matrix.rows
    ))
      throw new InputError(
        `${matrix.name}: ${rows} rows from row ${firstRow} were asked for, but it has ${matrix.rows} rows. Stay inside.`,
      );
    const rowBytes = matrix.pitch * 4;
    const values = into ?? new Float32Array(rows * columns);
    const chunk = Math.max(1, Math.floor(READ_BYTES / rowBytes));
    for (let start = 0; start < rows; start += chunk) {
      job?.signal?.throwIfAborted();
      const count = Math.min(chunk, rows - start);
      const size = count * rowBytes;
      const staging = this.#buffer(`${matrix.name} read-back`, size, USAGE.staging);
      try {
        const { buffer } = matrix;
        // Alone: where staging memory cannot be had, nothing that was recorded before is lost with this copy.
        this.queue.submit();
        this.queue.copy((encoder) =>
          encoder.copyBufferToBuffer(buffer, (firstRow + start) * rowBytes, staging, 0, size),
        );
        await this.queue.drain(() => staging.mapAsync(1));
        const mapped = new Float32Array(staging.getMappedRange());
        for (let i = 0; i < count; i++)
          values.set(
            mapped.subarray(i * matrix.pitch, i * matrix.pitch + columns),
            (start + i) * columns,
          );
        staging.unmap();
      } finally {
        this.release(staging);
      }
    }
    return values;
  }

  /** Waits for a promise of the device; a loss, or a fault found meanwhile, rejects instead. @internal */
  async settle<T>(promise: Promise<T>): Promise<T> {
    const wait = <R>(what: Promise<R>) => this.#orLost(this.host.breathe?.(what) ?? what);
    const result = await wait(promise);
    await wait(Promise.all(this.#faults.splice(0)));
    const fault = this.#fault;
    this.#fault = null;
    if (fault) throw fault;
    return result;
  }

  /** Not `Promise.race` with the loss: each race would be remembered for as long as the device lives. */
  #orLost<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#waiting.delete(reject);
        if (this.#lostMessage === null) settle();
        else reject(this.#lostError());
      };
      this.#waiting.add(reject);
      promise.then(
        (value) => end(() => resolve(value)),
        // What was waited for fails a moment before the device says that it is lost.
        (error) => void this.#settled().then(() => end(() => reject(error))),
      );
      if (this.#lostMessage !== null) end(() => {});
    });
  }

  /** A turn of the host's event loop, as far as that can be had without its timers. */
  async #settled(): Promise<void> {
    for (let turn = 0; turn < 8; turn++) await null;
  }

  /** Frees a buffer that this engine made. @internal */
  release(buffer: GPUBuffer): void {
    this.#stats.buffers -= 1;
    this.#stats.bytes -= buffer.size;
    if (this.#lostMessage === null) this.queue.release(buffer, buffer.size);
    else buffer.destroy();
  }

  /** Ends the engine; what waits for it rejects. An owned device is destroyed, a borrowed one left as it was. */
  destroy(): void {
    if (this.#lostMessage !== null) return;
    this.queue.destroy();
    this.#lostMessage =
      "the engine was destroyed, but must be open to compute. Open another with openGpu.";
    if (this.#owned) this.device.destroy();
  }

  [dispose](): void {
    this.destroy();
  }

  #lostError(): GpuError {
    return new GpuError("lost", `gpu: ${this.#lostMessage}`);
  }

  #matrix(
    name: string,
    rows: number,
    columns: number,
    fill: ((target: Float32Array) => void) | null,
  ): Matrix {
    for (const [axis, size] of [
      ["rows", rows],
      ["columns", columns],
    ] as const)
      if (!(Number.isSafeInteger(size) && size >= 1))
        throw new InputError(
          `${name}: ${axis} is ${size}, but must be a whole number from 1. Give a shape that holds something.`,
        );
    checkMatrixFits(this.limits, name, rows, columns);
    const buffer = this.#buffer(name, matrixBytes(rows, columns), USAGE.matrix, fill);
    return new Matrix(this, name, rows, columns, buffer);
  }

  #buffer(
    label: string,
    size: number,
    usage: number,
    fill: ((target: Float32Array) => void) | null = null,
  ): GPUBuffer {
    const buffer = this.guard(`${label}: ${size} bytes`, () => {
      const made = this.device.createBuffer({
        label,
        size,
        usage,
        mappedAtCreation: fill !== null,
      });
      if (fill) {
        fill(new Float32Array(made.getMappedRange()));
        made.unmap();
      }
      return made;
    });
    this.#stats.buffers += 1;
    this.#stats.bytes += size;
    this.#stats.peakBytes = Math.max(this.#stats.peakBytes, this.#stats.bytes);
    return buffer;
  }

  /** Runs a synchronous call inside error scopes; what they caught is thrown at the next wait. @internal */
  guard<T>(what: string, make: () => T): T {
    if (this.#lostMessage !== null) throw this.#lostError();
    const { device } = this;
    const scopes: GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];
    scopes.forEach((scope) => device.pushErrorScope(scope));
    try {
      return make();
    } finally {
      for (const scope of scopes.reverse())
        this.#faults.push(
          device.popErrorScope().then(
            (error) => {
              if (error)
                this.#fault ??= new GpuError(
                  scope === "out-of-memory" ? "memory" : "shader",
                  `gpu: ${what} failed on ${this.description}: ${error.message}`,
                );
            },
            () => {},
          ),
        );
      if (this.#faults.length > 4096) this.#faults = [Promise.all(this.#faults).then(() => {})];
    }
  }
}

/**
 * What hosts lent to be held until their device is lost: dropping what `create()` of `webgpu` returned while a promise
 * is pending kills Node, also when only the device is still in use.
 */
const HELD = new Set<unknown>();

/** Read-backs go through staging memory of at most this size. */
export const READ_BYTES = 32 * 2 ** 20;
