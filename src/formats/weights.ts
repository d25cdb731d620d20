import { InputError } from "../errors.ts";
import type { Files } from "./datasets.ts";
import { readNpy } from "./npy.ts";
import { readSafetensors } from "./safetensors.ts";
import { roundToF32, type Table } from "./table.ts";

/** One layer's parameters: weight [out, in] row-major, bias [out] or none. */
export interface LayerWeights {
  weight: Float32Array;
  bias: Float32Array | null;
}

/**
 * Reads a network's parameters: one `.safetensors` file, or a folder of `W1.npy`, `b1.npy`, …
 *
 * @param path the file or the folder, as {@link Files} understands it
 * @param widths [inputs, hidden…, outputs]
 * @param hasBias whether the network has biases
 * @returns a layer's parameters each, from the inputs upward, rounded to nearest f32
 *
 * @throws InputError, NonFiniteError as {@link weightsFromTensors} and {@link weightsFromArrays}
 */
export async function loadWeights(
  path: string,
  widths: readonly number[],
  hasBias: boolean,
  files: Files,
): Promise<LayerWeights[]> {
  if (/\.safetensors$/i.test(path)) {
    const tensors = readSafetensors(await files.read(path), path);
    return weightsFromTensors(widths, hasBias, tensors, path);
  }
  const arrays = new Map<string, Table>();
  const names = await files.list(path).catch((error: Error) => {
    throw new InputError(
      `${path}: must be a .safetensors file or a folder of W1.npy, b1.npy, …, but is not (${error.message})`,
    );
  });
  for (const file of names) {
    const array = /^([Wb][1-9]\d*)\.npy$/.exec(file)?.[1];
    const whole = `${path.replace(/[/\\]+$/, "")}/${file}`;
    if (array) arrays.set(array, readNpy(await files.read(whole), whole));
  }
  return weightsFromArrays(widths, hasBias, arrays, path);
}

/**
 * A network's parameters out of tensors named `<module>.weight` and `<module>.bias`, matched by order.
 *
 * The modules' order is that of their names, numbers in them counting as numbers (`2` before `10`).
 * When the names differ in more than numbers, and the file is not merely sorted, its own order counts
 * too: the one that fits the shapes is taken, and two that fit are an error.
 *
 * @param tensors by name, in file order, borrowed
 * @param source begins every message
 *
 * **Cost** one copy.
 * @throws InputError for tensors that are missing, left over or of another shape, and for values that
 *   overflow f32; NonFiniteError for NaN and infinity
 *
 * @example weightsFromTensors([2, 512, 1], true, readSafetensors(bytes, "net.safetensors"), "net.safetensors")
 */
export function weightsFromTensors(
  widths: readonly number[],
  hasBias: boolean,
  tensors: Map<string, Table>,
  source: string,
): LayerWeights[] {
  const names = [...tensors.keys()];
  const stranger = names.find((name) => !PARAMETER.test(name));
  if (stranger !== undefined)
    throw new InputError(
      `${source}: holds ${describe(stranger, tensors)}, but every tensor must be the weight or bias of a ` +
        "linear layer. Remove it.",
    );
  const inFile = [...new Set(names.map((name) => name.replace(PARAMETER, "")))];
  const byName = [...inFile].sort(new Intl.Collator("en", { numeric: true }).compare);
  const onlyNumbersDiffer = new Set(inFile.map((module) => module.replace(/\d+/g, "#"))).size === 1;
  const sorted = names.every((name, i) => i === 0 || names[i - 1] < name);
  const orders = (onlyNumbersDiffer || sorted ? [byName] : [byName, inFile]).map((modules) =>
    modules.map((module) => ["weight", "bias"].map((end) => (module ? `${module}.${end}` : end))),
  );
  const fitting = orders.filter((order) => misfit(widths, hasBias, tensors, order) === null);
  if (fitting.length === 2 && byName.some((module, layer) => module !== inFile[layer]))
    throw new InputError(
      `${source}: holds layers ${inFile.join(", ")} in this order, but sorted they fit too, and the order ` +
        "must be certain. Name them layers.0, layers.1, ….",
    );
  return assemble(widths, hasBias, tensors, fitting[0] ?? orders[0], source);
}

const PARAMETER = /(^|\.)(weight|bias)$/;

/**
 * A network's parameters out of arrays named `W1`, `b1`, `W2`, …; other names are ignored.
 *
 * @throws InputError, NonFiniteError as {@link weightsFromTensors}
 */
export function weightsFromArrays(
  widths: readonly number[],
  hasBias: boolean,
  arrays: Map<string, Table>,
  source: string,
): LayerWeights[] {
  const named = new Map([...arrays].filter(([name]) => /^[Wb][1-9]\d*$/.test(name)));
  const layers = widths.slice(1).map((_, layer) => [`W${layer + 1}`, `b${layer + 1}`]);
  return assemble(widths, hasBias, named, layers, source);
}

/** What keeps tensors named `layers[l] = [weight, bias]` from being the network's, if anything. */
function misfit(
  widths: readonly number[],
  hasBias: boolean,
  tensors: Map<string, Table>,
  layers: string[][],
): string | null {
  const network = `widths [${widths.join(", ")}]`;
  const used = new Set<string>();
  for (let layer = 0; layer + 1 < widths.length; layer++) {
    const [weight, bias] = layers[layer] ?? [];
    if (weight === undefined)
      return `has layers: ${layers.length}, but ${network} must have ${widths.length - 1}.`;
    const shapes = [[widths[layer + 1], widths[layer]], [widths[layer + 1]]];
    for (const [k, name] of (hasBias ? [weight, bias] : [weight]).entries()) {
      const shape = tensors.get(name)?.shape;
      if (shape?.join() !== shapes[k].join())
        return (
          `${shape ? `holds ${name} [${shape.join(", ")}]` : `lacks ${name}`}, but layer ${layer + 1} of ` +
          `${network} must have it as [${shapes[k].join(", ")}].`
        );
      used.add(name);
    }
  }
  const left = [...tensors.keys()].filter((name) => !used.has(name));
  if (left.length === 0) return null;
  return (
    `holds ${left.map((name) => describe(name, tensors)).join(", ")}, but ${network} ` +
    `${hasBias ? "" : "without biases "}must have nothing beyond ${[...used].join(", ")}.`
  );
}

const describe = (name: string, tensors: Map<string, Table>): string =>
  `${name} [${tensors.get(name)?.shape.join(", ")}]`;

function assemble(
  widths: readonly number[],
  hasBias: boolean,
  tensors: Map<string, Table>,
  layers: string[][],
  source: string,
): LayerWeights[] {
  const wrong = misfit(widths, hasBias, tensors, layers);
  if (wrong !== null)
    throw new InputError(`${source}: ${wrong} Mend the network file or choose other weights.`);
  const rounded = (name: string) => roundToF32(tensors.get(name)!.data, source, name);
  return layers.map(([weight, bias]) => ({
    weight: rounded(weight),
    bias: hasBias ? rounded(bias) : null,
  }));
}
