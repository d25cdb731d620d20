import { MultiBar, Presets, type SingleBar } from "cli-progress";
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import {
  InputError,
  network,
  weights,
  type Gpu,
  type Job,
  type LayerWeights,
  type Network,
  type NetworkSpec,
} from "../index.ts";
import { checkMatrixFits } from "../gpu/plan.ts";
import { loadInputs, loadWeights, nodeFiles, openGpu, writeAtomic, type Inputs } from "../node.ts";
import type { Normalization } from "../formats/inputs.ts";

/** Options that every command takes. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly adapter?: string;
  readonly out?: string;
}

/** Options of the commands that compute with a network. */
export interface ModelOptions extends CommonOptions {
  readonly network?: string;
  readonly weights?: string;
  readonly seed?: string;
  readonly inputs?: string;
  readonly normalize?: string;
}

/** A network with its weights and samples, checked against each other. */
export interface Model {
  readonly spec: NetworkSpec;
  readonly net: Network;
  readonly weights: readonly LayerWeights[];
  readonly inputs: Inputs;
}

/** One run of a command: its device, its clock, its way to talk and to be stopped. */
export class Session {
  readonly #options: CommonOptions;
  readonly #signal: AbortSignal;
  readonly #started = performance.now();
  readonly stages: Record<string, number> = {};
  #stage = "read";
  #since = performance.now();
  #bars: MultiBar | null = null;
  #bar: SingleBar | null = null;
  #gpu: Gpu | null = null;

  constructor(options: CommonOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
  }

  /** How the engine's stages are followed and stopped. */
  get job(): Job {
    return {
      signal: this.#signal,
      onProgress: ({ stage, share }) => {
        this.enter(stage);
        this.#bar?.update(share, { stage });
      },
    };
  }

  /** The clock now counts for this stage. */
  enter(stage: string): void {
    this.#signal.throwIfAborted();
    const now = performance.now();
    if (stage !== this.#stage) {
      this.stages[this.#stage] = (this.stages[this.#stage] ?? 0) + (now - this.#since) / 1000;
      this.#stage = stage;
      this.#since = now;
    }
  }

  /** A line for a person, on stderr. */
  say(line: string): void {
    if (this.#bars) this.#bars.log(`${line}\n`);
    else process.stderr.write(`${line}\n`);
  }

  /** Reads network and inputs, and checks that they fit each other. */
  async problem(
    options: Omit<ModelOptions, "weights" | "seed">,
    otherInputs?: string,
  ): Promise<Omit<Model, "weights"> & { others: Inputs | null }> {
    const path = required("network", options.network, "FILE");
    const source = required("inputs", options.inputs, "FILE or SET");
    const spec = await readNetwork(path);
    const net = network(spec);
    const normalize = options.normalize as Normalization | undefined;
    const inputs = await loadInputs(source, { normalize, files: nodeFiles });
    const others =
      otherInputs === undefined
        ? null
        : await loadInputs(otherInputs, { normalize, files: nodeFiles, like: inputs });
    if (inputs.d !== net.inputs)
      throw new InputError(
        `${source}: samples have ${inputs.d} features, but the network takes ${net.inputs}. Make widths[0] and the inputs agree.`,
      );
    return { spec, net, inputs, others };
  }

  /** The same with the network's weights. */
  async model(
    options: ModelOptions,
    otherInputs?: string,
  ): Promise<Model & { others: Inputs | null }> {
    required("network", options.network, "FILE");
    required("inputs", options.inputs, "FILE or SET");
    if (options.weights !== undefined && options.seed !== undefined)
      throw new InputError(
        "--weights and --seed are both given, but only one can say where the weights come from. Leave one out.",
      );
    const problem = await this.problem(options, otherInputs);
    const { spec, net } = problem;
    const seed = options.seed === undefined ? 0 : whole("seed", options.seed, 0, 2 ** 32 - 1);
    this.enter("weights");
    const values =
      options.weights === undefined
        ? await this.#drawn(net, seed)
        : await loadWeights(options.weights, spec.widths, spec.biasScale !== null, nodeFiles);
    return { ...problem, weights: values };
  }

  /** Weights of a seed; those that the device cannot hold are refused before they are drawn. */
  async #drawn(net: Network, seed: number): Promise<LayerWeights[]> {
    const { limits } = await this.gpu();
    for (const { index, fanIn, units } of net.layers)
      for (const [rows, columns] of index > 0
        ? [
            [fanIn, units],
            [units, fanIn],
          ]
        : [[fanIn, units]])
        checkMatrixFits(limits, `layer ${index + 1} weights`, rows, columns);
    this.enter("weights");
    return weights(net, seed);
  }

  /** Whether files can be written there, before anything is computed. @throws InputError where one cannot */
  async writable(...paths: readonly (string | undefined)[]): Promise<void> {
    for (const path of paths) {
      if (path === undefined) continue;
      const status = await stat(path).catch(() => null);
      // A pipe's reader would take the trial for the end of its data.
      if (status && !status.isFile() && !status.isDirectory()) continue;
      const enough = new Error("the place was opened, and that was all");
      const trial = function* (): Generator<Uint8Array> {
        throw enough;
      };
      await writeAtomic(path, trial()).catch((error: unknown) => {
        if (error !== enough) throw error;
      });
    }
  }

  /** Makes a folder for files, before anything is computed. @throws InputError where that cannot be */
  async folder(path: string): Promise<void> {
    await mkdir(path, { recursive: true }).catch(({ message }: Error) => {
      throw new InputError(
        `${path}: must be a folder to write to, but cannot be made (${message}). Name another.`,
      );
    });
    await this.writable(join(path, "report.html"));
  }

  /** Opens the device on the first call; the time that takes is not counted. */
  async gpu(): Promise<Gpu> {
    if (this.#gpu) return this.#gpu;
    this.enter("open");
    this.#gpu = await openGpu({ adapter: this.#options.adapter });
    this.enter("upload");
    this.watch();
    return this.#gpu;
  }

  /** Shows what is under way, on a terminal. */
  watch(): void {
    if (!process.stderr.isTTY || this.#bars) return;
    this.#bars = new MultiBar(
      {
        stream: process.stderr,
        format: "{stage} {bar} {percentage} % · {eta_formatted} left",
        hideCursor: true,
        clearOnComplete: true,
      },
      Presets.shades_grey,
    );
    this.#bar = this.#bars.create(1, 0, { stage: "" });
  }

  /** Seconds since the command began, without opening the device. */
  get seconds(): number {
    return (performance.now() - this.#started) / 1000 - (this.stages.open ?? 0);
  }

  /** What every result says of its run. */
  summary() {
    const { open: _, ...stages } = this.stages;
    return { seconds: this.seconds, stages, adapter: this.#gpu?.description ?? "" };
  }

  /** Ends the run and prints its result: JSON, or lines for a person. */
  finish(result: Record<string, unknown>, lines: () => readonly string[]): void {
    this.enter("done");
    const whole = { ...result, ...this.summary() };
    this.close();
    process.stdout.write(`${this.#options.json ? asJson(whole) : lines().join("\n")}\n`);
  }

  /** Takes the bar away and gives the device back. */
  close(): void {
    this.#bars?.stop();
    this.#bars = null;
    this.#bar = null;
    this.#gpu?.destroy();
  }
}

/** JSON with typed arrays as lists; what is not finite becomes null. */
export const asJson = (value: unknown): string =>
  JSON.stringify(value, (_, field: unknown) =>
    field instanceof Float64Array ? Array.from(field) : field,
  );

async function readNetwork(path: string): Promise<NetworkSpec> {
  const text = new TextDecoder().decode(await nodeFiles.read(path));
  try {
    return JSON.parse(text) as NetworkSpec;
  } catch (error) {
    throw new InputError(
      `${path}: is not JSON (${(error as Error).message}), but must be a network file. Correct it.`,
    );
  }
}

/** An option that must be given. @throws InputError where it is not */
export function required(name: string, value: string | undefined, form: string): string {
  if (value === undefined || value === "")
    throw new InputError(`--${name} is missing, but must be given. Add --${name} ${form}.`);
  return value;
}

/** A whole number out of an option's text. @throws InputError where it is none in range */
export function whole(name: string, text: string, least: number, most: number): number {
  const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : NaN;
  if (!(value >= least && value <= most))
    throw new InputError(
      `--${name} is ${text}, but must be a whole number from ${least} to ${most}. Correct it.`,
    );
  return value;
}

/** One of a few words out of an option. @throws InputError where it is none of them */
export function oneOf<T extends string>(name: string, text: string, known: readonly T[]): T {
  if (!known.includes(text as T))
    throw new InputError(`--${name} is ${text}, but must be ${known.join(" or ")}. Choose one.`);
  return text as T;
}
