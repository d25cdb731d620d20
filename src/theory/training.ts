import loadWgsl from "../../shaders/fragments/load.wgsl";
import pairWgsl from "../../shaders/fragments/pair.wgsl";
import descendWgsl from "../../shaders/5-training/descend.wgsl";
import { GpuError, InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { dispose, type Matrix } from "../gpu/matrix.ts";
import type { Job, Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import { described, ownValues, type Values } from "../gpu/values.ts";
import type { Layer, Network } from "../stages/0-network.ts";
import { storeProduct } from "../stages/0-product.ts";
import { tuned } from "../stages/0-search.ts";
import { uploadWeights, type DeviceWeights, type LayerWeights } from "../stages/0-weights.ts";
import { fillForward, forwardFlops, sampleCount } from "../stages/1-forward.ts";
import { backwardFlops, fillSignals } from "../stages/2-backward.ts";
import { turnInto } from "../stages/2-tangent.ts";
import { pick, shuffled } from "./batches.ts";
import { checkTargets, GROUP_SAMPLES, loss, LOSSES } from "./loss.ts";
import { checkedOptions, DivergenceError, must, type TrainingOptions } from "./options.ts";
import { copied, ownState, type Steps, type TrainingState } from "./state.ts";

export const descend = defineShader({
  name: "descend",
  wgsl: [descendWgsl, loadWgsl, pairWgsl],
  dims: [
    ...(["rows", "columns", "velocityRows", "velocityColumns", "slots", "fields"] as const),
    ...(["slot", "first", "rate", "momentum", "zero"] as const),
  ],
  buffers: {
    gradient: ["read", "rows", "columns"],
    velocity: ["read_write", "velocityRows", "velocityColumns"],
    weight: ["read_write", "rows", "columns"],
    rest: ["read_write", "rows", "columns"],
    history: ["read_write", "slots", "fields"],
  },
  sizes: {},
});
/** Steps between two looks at what they did: each look waits for the device. */
const SLOTS = 32;
/** Vec4s of parameters whose sum is one field of the history. */
const GROUP_VEC4S = 1024;

/** One array of parameters with all that its step needs. */
interface Parameters {
  readonly weight: Matrix;
  readonly rest: Matrix;
  readonly gradient: Matrix;
  readonly velocity: Matrix;
  /** Its first field in the history. */
  readonly first: number;
}

/** What a step computes on its way, for `batch` samples. */
interface Pass {
  /** As in `fillForward`; on their side [batch, fanIn] in `aTurned`. */
  readonly a: readonly Matrix[];
  readonly aTurned: readonly Matrix[];
  readonly z: readonly Matrix[];
  /** As in `fillSignals`, of the loss; on their side [batch, units] in `gTurned`. */
  readonly g: readonly Matrix[];
  readonly gTurned: readonly Matrix[];
  readonly targets: Matrix;
  /** [batch, 1]. */
  readonly ones: Matrix;
}

/**
 * Gradient descent on the device, step by step:
 *
 *   v = μ v + ∂L/∂θ        θ −= η v
 *
 * Weights are sums of two f32, so that steps far below a rounding add up. They stay on the device between steps.
 *
 * ```ts
 * const inputs = Float32Array.of(1, 0, 0, 1, -1, 0); // three points of the plane
 * const targets = Float32Array.of(1, -1, 1);
 * using training = await Training.open(gpu, net, weights(net, 0), inputs, targets, { rate: 0.1 });
 * const { losses } = await training.advance(100);
 * const after = await training.state();
 * ```
 */
export class Training {
  readonly net: Network;
  readonly n: number;
  readonly options: Required<TrainingOptions>;
  readonly #gpu: Gpu;
  readonly #made: Matrix[] = [];
  readonly #weights: DeviceWeights;
  readonly #parameters: readonly {
    readonly weight: Parameters;
    readonly bias: Parameters | null;
  }[];
  readonly #inputs: Matrix;
  readonly #targets: Matrix;
  readonly #pass: Pass;
  readonly #history: Matrix;
  /** In which samples are drawn; null where every step takes all. */
  readonly #order: Matrix | null;
  #epoch = -1;
  #busy = false;
  #step: number;

  /** @internal use {@link Training.open} */
  private constructor(
    gpu: Gpu,
    net: Network,
    values: readonly LayerWeights[],
    inputs: Values,
    targets: Values,
    options: Required<TrainingOptions>,
    state: TrainingState | null,
  ) {
    const n = inputs.length / net.inputs;
    const { batch } = options;
    this.#gpu = gpu;
    this.net = net;
    this.n = n;
    this.options = options;
    this.#step = state?.step ?? 0;
    this.#weights = uploadWeights(gpu, net, values);
    const keep = (matrix: Matrix): Matrix => {
      this.#made.push(matrix);
      return matrix;
    };
    const make = (name: string, rows: number, columns: number): Matrix =>
      keep(gpu.matrix(name, rows, columns));
    try {
      let first = Math.ceil(batch / GROUP_SAMPLES);
      const none = make("no velocity", 1, 1);
      const of = (weight: Matrix, rest?: Values | null, velocity?: Values | null): Parameters => {
        const { name, rows, columns } = weight;
        const beside = (what: string, given?: Values | null): Matrix =>
          given
            ? keep(gpu.upload(`${what} of ${name}`, rows, columns, given, true))
            : make(`${what} of ${name}`, rows, columns);
        const before = first;
        const groups = Math.ceil(weight.bytes / 16 / GROUP_VEC4S);
        const most = gpu.limits.maxComputeWorkgroupsPerDimension;
        if (groups > most)
          throw new GpuError(
            "limit",
            `train: ${name} are ${rows} × ${columns}, but at most ${most * GROUP_VEC4S * 4} values can be trained in one array. Make the layer narrower.`,
          );
        first += groups;
        return {
          weight,
          rest: beside("rest", rest),
          gradient: beside("gradient"),
          velocity: options.momentum > 0 ? beside("velocity", velocity) : none,
          first: before,
        };
      };
      this.#parameters = this.#weights.layers.map(({ transposed, bias }, l) => {
        const [rest, velocity] = [state?.rest[l], state?.velocity?.[l]];
        return {
          weight: of(transposed, rest?.weight, velocity?.weight),
          bias: net.layers[l].hasBias ? of(bias, rest?.bias, velocity?.bias) : null,
        };
      });
      this.#history = make("history of the steps", SLOTS, first);
      this.#inputs = keep(gpu.upload("inputs", net.inputs, n, inputs, true));
      this.#targets = keep(gpu.upload("targets", net.outputs, n, targets, true));
      const all = batch === n;
      const each = <T>(make: (layer: Layer) => T): T[] => net.layers.map(make);
      this.#pass = {
        a: [
          all ? this.#inputs : make("inputs of the batch", net.inputs, batch),
          ...each((l) => make(`activations of layer ${l.index + 1}`, l.units, batch)),
        ],
        aTurned: each((l) => make(`activations below layer ${l.index + 1}`, batch, l.fanIn)),
        z: each((l) => make(`pre-activations of layer ${l.index + 1}`, l.units, batch)),
        g: each((l) => make(`signals of layer ${l.index + 1}`, l.units, batch)),
        gTurned: each((l) => make(`signals of layer ${l.index + 1}, turned`, batch, l.units)),
        targets: all ? this.#targets : make("targets of the batch", net.outputs, batch),
        ones: keep(gpu.upload("ones", batch, 1, new Float32Array(batch).fill(1))),
      };
      this.#order = all ? null : make("order of the samples", 1, n);
      if (all) turnInto(gpu, this.#inputs, this.#pass.aTurned[0]);
    } catch (error) {
      this.destroy();
      throw error;
    }
  }

  /**
   * Puts network, samples and targets on the device.
   *
   * @param inputs f32 [n, net.inputs] row-major
   * @param targets f32 [n, net.outputs] row-major
   * @param state where to go on, as {@link Training.state} gave it; its weights then count, not `values`
   * @returns the caller's to destroy
   * @throws InputError for wrong shapes, options, or targets that the loss does not know
   */
  static async open(
    gpu: Gpu,
    net: Network,
    values: readonly LayerWeights[],
    inputs: Values,
    targets: Values,
    options: TrainingOptions,
    state: TrainingState | null = null,
  ): Promise<Training> {
    const n = sampleCount("train", net, inputs);
    const all = checkedOptions(options, n);
    const own = copied(state?.weights ?? values);
    const kept = state && ownState(net, state, all.momentum > 0);
    const samples = ownValues("train", "inputs", inputs);
    const wanted = ownValues("train", "targets", targets);
    checkTargets(wanted, n, net.outputs, all.loss);
    await tuned(gpu);
    return new Training(gpu, net, own, samples, wanted, all, kept);
  }

  /** Steps taken so far. */
  get step(): number {
    return this.#step;
  }

  /** The weights of this moment, rounded to f32, for `forward` and others: they change with the next step. */
  get weights(): DeviceWeights {
    return this.#weights;
  }

  /**
   * Takes some steps.
   *
   * **Error** of the gradient as {@link jacobianTransposed}; of a step as `descend.wgsl`.
   * **Cost** 6 · batch · parameters flops a step, 24 to 28 bytes a parameter.
   * @throws DivergenceError where a loss or gradient is not finite; up to 31 more steps are taken then. InputError while
   * another call is under way
   */
  async advance(steps: number, job?: Job): Promise<Steps> {
    must("advance", "called again", !this.#busy, "awaited before the next call");
    this.#busy = true;
    try {
      return await this.#advance(steps, job);
    } finally {
      this.#busy = false;
    }
  }

  async #advance(steps: number, job?: Job): Promise<Steps> {
    if (!(Number.isSafeInteger(steps) && steps >= 0))
      throw new InputError(
        `train: steps is ${described(steps)}, but must be a whole number from 0. Correct it.`,
      );
    const { net, options } = this;
    const each = 2 * forwardFlops(net, options.batch) + backwardFlops(net, options.batch);
    const meter = this.#gpu.queue.meter(job, "train", each * steps);
    const losses = new Float64Array(steps);
    const gradientNorms = new Float64Array(steps);
    const fields = this.#history.columns;
    const ofLoss = Math.ceil(options.batch / GROUP_SAMPLES);
    const sum = (values: Values): number => values.reduce((all, value) => all + value, 0);
    for (let done = 0; done < steps; done += SLOTS) {
      const count = Math.min(SLOTS, steps - done);
      const before = this.#step;
      for (let slot = 0; slot < count; slot++) await this.#record(slot, meter);
      const history = await this.#gpu.read(this.#history, job, 0, count);
      for (let slot = 0; slot < count; slot++) {
        const row = history.subarray(slot * fields, (slot + 1) * fields);
        const loss = sum(row.subarray(0, ofLoss));
        const norm = Math.sqrt(sum(row.subarray(ofLoss)));
        if (!Number.isFinite(loss + norm))
          throw new DivergenceError(
            Number.isFinite(loss) ? "the gradient" : "the loss",
            before + slot,
          );
        losses[done + slot] = loss;
        gradientNorms[done + slot] = norm;
      }
    }
    return { losses, gradientNorms };
  }

  /** Reads the weights back as they are now, rounded to f32. */
  async values(job?: Job): Promise<LayerWeights[]> {
    return this.#read("weight", job);
  }

  /** Reads back all that the next step depends on. */
  async state(job?: Job): Promise<TrainingState> {
    return {
      step: this.#step,
      weights: await this.#read("weight", job),
      rest: await this.#read("rest", job),
      velocity: this.options.momentum > 0 ? await this.#read("velocity", job) : null,
    };
  }

  destroy(): void {
    this.#made.forEach((matrix) => matrix.destroy());
    this.#weights.destroy();
  }

  [dispose](): void {
    this.destroy();
  }

  async #read(key: "weight" | "rest" | "velocity", job?: Job): Promise<LayerWeights[]> {
    const layers: LayerWeights[] = [];
    for (const { weight, bias } of this.#parameters) {
      const { rows, columns } = weight.weight;
      const values = await this.#gpu.read(weight[key], job);
      const turned = new Float32Array(rows * columns);
      for (let k = 0; k < rows; k++)
        for (let h = 0; h < columns; h++) turned[h * rows + k] = values[k * columns + h];
      layers.push({ weight: turned, bias: bias && (await this.#gpu.read(bias[key], job)) });
    }
    return layers;
  }

  /** One step, without waiting for it; what it did is noted in a row of the history. */
  async #record(slot: number, meter: Meter): Promise<void> {
    const { net, options } = this;
    const { batch, rate, momentum } = options;
    const { a, aTurned, z, g, gTurned, targets, ones } = this.#pass;
    const gpu = this.#gpu;
    const last = net.layers.length - 1;
    const at = { slots: SLOTS, fields: this.#history.columns, slot };
    const history = this.#history;
    if (this.#order) {
      this.#draw(this.#order);
      turnInto(gpu, a[0], aTurned[0]);
    }
    await fillForward(gpu, net, this.#weights, a, z, meter);
    loss(gpu, {
      dims: { outputs: net.outputs, n: batch, ...at },
      buffers: { u: z[last], y: targets, r: g[last], history },
      groups: [Math.ceil(batch / GROUP_SAMPLES)],
      flops: 4 * g[last].bytes,
      sizes: { LOSS: LOSSES.indexOf(options.loss) },
    });
    await fillSignals(gpu, net, this.#weights, z, g, 1, meter);
    for (const { index, scale, shift } of net.layers) {
      const { weight, bias } = this.#parameters[index];
      if (index > 0) turnInto(gpu, a[index], aTurned[index]);
      turnInto(gpu, g[index], gTurned[index]);
      const [left, right] = [aTurned[index], gTurned[index]];
      await storeProduct(gpu, { buffers: { left, right, out: weight.gradient }, scale }, meter);
      if (!bias) continue;
      const buffers = { left: ones, right, out: bias.gradient };
      await storeProduct(gpu, { buffers, scale: shift }, meter);
    }
    for (const [index, { weight, bias }] of this.#parameters.entries()) {
      for (const part of bias ? [weight, bias] : [weight]) {
        const { rows, columns } = part.weight;
        const { first, ...buffers } = part;
        descend(gpu, {
          dims: {
            ...{ rows, columns, ...at, first, rate, momentum, zero: 0 },
            ...{ velocityRows: part.velocity.rows, velocityColumns: part.velocity.columns },
          },
          buffers: { ...buffers, history },
          groups: [Math.ceil(part.weight.bytes / 16 / GROUP_VEC4S)],
          flops: 12 * rows * columns,
        });
      }
      if (index > 0) turnInto(gpu, weight.weight, this.#weights.layers[index].weight as Matrix);
    }
    this.#step += 1;
  }

  /** Takes the next batch out of the samples, in an order that is new with each pass through them. */
  #draw(order: Matrix): void {
    const { n } = this;
    const { batch, seed } = this.options;
    const batches = Math.floor(n / batch);
    const epoch = Math.floor(this.#step / batches);
    if (epoch !== this.#epoch) {
      this.#gpu.writeBits(order, 0, shuffled(n, seed, epoch));
      this.#epoch = epoch;
    }
    const first = (this.#step % batches) * batch;
    for (const [matrix, out] of [
      [this.#inputs, this.#pass.a[0]],
      [this.#targets, this.#pass.targets],
    ])
      pick(this.#gpu, {
        dims: { rows: matrix.rows, n, columns: batch, first },
        buffers: { matrix, order, out },
        groups: [Math.ceil(batch / 64), Math.ceil(matrix.rows / 16) * 4],
        flops: matrix.rows * batch,
      });
  }
}
