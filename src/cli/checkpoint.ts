import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { InputError, type LayerWeights, type Network } from "../index.ts";
import { loadWeights, nodeFiles, readSafetensors, writeAtomic, writeSafetensors } from "../node.ts";
import type { TrackedStep, TrainingState } from "../theory.ts";
import { asJson } from "./session.ts";

/** What a checkpoint's `checkpoint.json` holds. */
interface Note {
  /** Of all that must be the same for the rest to be the same. */
  readonly settings: string;
  readonly step: number;
  /** The weights, for `--weights`, and what else it takes to go on. */
  readonly weights: string;
  readonly rest: string;
  readonly tracked: readonly TrackedStep[];
}

/** Tensors of layers, by the names that weights are read with. */
function tensorsOf(
  net: Network,
  layers: readonly LayerWeights[],
  prefix = "",
): Map<string, { shape: readonly number[]; data: Float32Array }> {
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  layers.forEach(({ weight, bias }, l) => {
    const { units, fanIn } = net.layers[l];
    tensors.set(`${prefix}layers.${l}.weight`, { shape: [units, fanIn], data: weight });
    if (bias) tensors.set(`${prefix}layers.${l}.bias`, { shape: [units], data: bias });
  });
  return tensors;
}

/** Weights as a `.safetensors` file. */
export const weightsFile = (
  net: Network,
  layers: readonly LayerWeights[],
): Uint8Array<ArrayBuffer> => writeSafetensors(tensorsOf(net, layers));

/** A hash of what a run is made of. */
export function fingerprintOf(parts: readonly (string | Float32Array)[]): string {
  const sum = createHash("sha256");
  for (const part of parts)
    sum.update(
      typeof part === "string"
        ? part
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength),
    );
  return sum.digest("hex");
}

/**
 * A folder with the last tracked step of a run: weights, what else the next step depends on, and `checkpoint.json`, which
 * is written last and names the others, so that what it names is always whole.
 */
export class Checkpoints {
  readonly #folder: string;
  readonly #net: Network;
  readonly #settings: string;

  /** @param settings see {@link fingerprintOf} */
  constructor(folder: string, net: Network, settings: string) {
    this.#folder = folder;
    this.#net = net;
    this.#settings = settings;
  }

  /** Where the checkpoint is, for messages. */
  get path(): string {
    return join(this.#folder, "checkpoint.json");
  }

  async save(state: TrainingState, tracked: readonly TrackedStep[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    const { step } = state;
    const [weights, rest] = [`step-${step}.safetensors`, `step-${step}.rest.safetensors`];
    const others = new Map([
      ...tensorsOf(this.#net, state.rest, "rest."),
      ...(state.velocity ? tensorsOf(this.#net, state.velocity, "velocity.") : []),
    ]);
    await writeAtomic(join(this.#folder, weights), [weightsFile(this.#net, state.weights)]);
    await writeAtomic(join(this.#folder, rest), [writeSafetensors(others)]);
    const note: Note = { settings: this.#settings, step, weights, rest, tracked };
    await writeAtomic(this.path, [new TextEncoder().encode(`${asJson(note)}\n`)]);
    for (const name of await readdir(this.#folder))
      if (/^step-\d+(\.rest)?\.safetensors$/.test(name) && ![weights, rest].includes(name))
        await rm(join(this.#folder, name), { force: true });
  }

  #parsed(text: string): Note {
    try {
      // What is not finite was written as null: bounds that say nothing.
      const note = JSON.parse(text, (key, value: unknown) =>
        value === null && /Bound$/.test(key) && key !== "limitDriftBound" ? Infinity : value,
      ) as Note | null;
      if (note && Array.isArray(note.tracked) && note.tracked.length > 0 && note.weights)
        return note;
    } catch {
      // Told below.
    }
    throw new InputError(
      `${this.path}: is no checkpoint, but must be one to go on from. Name another folder, or begin anew in one.`,
    );
  }

  /**
   * The last checkpoint.
   *
   * @param wanted whether to go on from it; else there must be none, as it would be lost
   * @returns null where there is none
   * @throws InputError for one of another run, or that cannot be read
   */
  async load(
    wanted: boolean,
  ): Promise<{ state: TrainingState; tracked: readonly TrackedStep[] } | null> {
    const text = await readFile(this.path, "utf8").catch(({ code }: NodeJS.ErrnoException) => {
      if (code === "ENOENT") return null;
      throw new InputError(`${this.path}: must be read, but cannot be (${code}). Check it.`);
    });
    if (text === null) return null;
    const note = this.#parsed(text);
    if (!wanted)
      throw new InputError(
        `${this.path}: holds step ${note.step}, but would be lost. Add --resume to go on from it, or name another folder.`,
      );
    if (note.settings !== this.#settings)
      throw new InputError(
        `${this.path}: is of a run with other network, weights, data or settings, but must be of this one to go on from it. Name another folder, or leave out --resume.`,
      );
    const { widths, biasScale } = this.#net.spec;
    const place = (name: string) => join(this.#folder, name);
    const weights = await loadWeights(place(note.weights), widths, biasScale !== null, nodeFiles);
    const others = readSafetensors(await nodeFiles.read(place(note.rest)), note.rest);
    const layersOf = (prefix: string): LayerWeights[] =>
      weights.map(({ bias }, l) => {
        const read = (kind: string) =>
          Float32Array.from(others.get(`${prefix}.layers.${l}.${kind}`)?.data ?? []);
        return { weight: read("weight"), bias: bias && read("bias") };
      });
    const velocity = others.has("velocity.layers.0.weight") ? layersOf("velocity") : null;
    return {
      state: { step: note.step, weights, rest: layersOf("rest"), velocity },
      tracked: note.tracked,
    };
  }
}
