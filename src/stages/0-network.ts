import { InputError } from "../errors.ts";
import { checkOptions, described, nearest } from "../gpu/values.ts";
import { ACTIVATIONS, type Activation } from "./0-activation.ts";

/** A network as its JSON file describes it; `README.md` and the field names say what each key means. */
export interface NetworkSpec {
  /** [inputs, hidden…, outputs]; two entries make one linear layer. */
  readonly widths: readonly number[];
  /** One name for all hidden layers, or one a hidden layer. */
  readonly activation: Activation | readonly Activation[];
  /** `ntk`: z = weightScale / √fan · W a + biasScale · b. `standard`: z = W a + b. */
  readonly parameterization: "ntk" | "standard";
  readonly weightScale: number;
  /** `null`: the network has no biases; 0 in `ntk`: it has some, without effect. */
  readonly biasScale: number | null;
  /** Which width fan is: of the layer below (default) or of the layer itself. */
  readonly fan?: "in" | "out";
  /** Slope of `leaky_relu` below zero; default 0.01. */
  readonly negativeSlope?: number;
}

/** One dense layer: z = scale · W a + shift · b, then φ. */
export interface Layer {
  /** Place in the network, from 0. */
  readonly index: number;
  /** Width of what the layer sees. */
  readonly fanIn: number;
  /** Width of the layer. */
  readonly units: number;
  /** `linear` for the output layer. */
  readonly activation: Activation;
  readonly hasBias: boolean;
  /** c, the factor of W a; also of ∂f/∂W = c · g ⊗ a. */
  readonly scale: number;
  /** β, the factor of b; also of ∂f/∂b = β · g. */
  readonly shift: number;
  /** Standard deviation that weights are drawn with. */
  readonly weightDeviation: number;
  /** Standard deviation that biases are drawn with. */
  readonly biasDeviation: number;
  /** Where the layer's weights begin in a row of the Jacobian; its biases follow them. */
  readonly firstParameter: number;
  /** Weights and biases of the layer. */
  readonly parameters: number;
}

/** A checked network. */
export interface Network {
  readonly spec: NetworkSpec;
  readonly inputs: number;
  readonly outputs: number;
  readonly layers: readonly Layer[];
  readonly parameters: number;
  /** Slope of `leaky_relu` below zero. */
  readonly slope: number;
}

/**
 * Checks a network's description and works out its layers.
 *
 * ```ts
 * const net = network({
 *   widths: [2, 64, 1], activation: "tanh", parameterization: "ntk", weightScale: 1, biasScale: 0.1,
 * });
 * ```
 *
 * @throws InputError that names the key
 */
export function network(spec: NetworkSpec): Network {
  checkOptions("network", spec, KEYS, "key");
  for (const key of REQUIRED)
    if (spec[key] === undefined) fail(`the key "${key}" is missing, but must be there. Add it`);
  const { widths, parameterization, weightScale, biasScale, fan = "in" } = spec;
  if (!Array.isArray(widths) || widths.length < 2)
    fail(
      `widths is ${described(widths)}, but must list at least two widths. Write [inputs, …, outputs]`,
    );
  widths.forEach((width, index) => {
    if (!(Number.isSafeInteger(width) && width >= 1))
      fail(
        `widths[${index}] is ${described(width)}, but must be a whole number from 1. Correct it`,
      );
  });
  oneOf("parameterization", parameterization, ["ntk", "standard"]);
  oneOf("fan", fan, ["in", "out"]);
  finite("weightScale", weightScale);
  if (biasScale !== null) finite("biasScale", biasScale);

  const hidden = widths.length - 2;
  const names = hiddenActivations(spec.activation, hidden);
  if (spec.negativeSlope !== undefined) {
    finite("negativeSlope", spec.negativeSlope);
    if (![spec.activation].flat().includes("leaky_relu"))
      fail("negativeSlope is given, but no layer is leaky_relu. Remove the key");
  }

  let firstParameter = 0;
  const hasBias = biasScale !== null;
  const layers = widths.slice(1).map((units, index): Layer => {
    const fanIn = widths[index];
    const gain = weightScale / Math.sqrt(fan === "in" ? fanIn : units);
    const ntk = parameterization === "ntk";
    const parameters = units * (fanIn + (hasBias ? 1 : 0));
    const layer = {
      index,
      fanIn,
      units,
      activation: index < hidden ? names[index] : ("linear" as const),
      hasBias,
      scale: ntk ? gain : 1,
      shift: !hasBias ? 0 : ntk ? biasScale : 1,
      weightDeviation: ntk ? 1 : gain,
      biasDeviation: ntk ? 1 : (biasScale ?? 0),
      firstParameter,
      parameters,
    };
    firstParameter += parameters;
    return layer;
  });
  if (!Number.isSafeInteger(firstParameter) || firstParameter >= 2 ** 32)
    fail(
      `widths give ${firstParameter} parameters, but fewer than 2³² can be numbered. Make it smaller`,
    );
  return {
    spec,
    inputs: widths[0],
    outputs: widths[widths.length - 1],
    layers,
    parameters: firstParameter,
    slope: spec.negativeSlope ?? 0.01,
  };
}

const REQUIRED = ["widths", "activation", "parameterization", "weightScale", "biasScale"] as const;
const KEYS = [...REQUIRED, "fan", "negativeSlope"] as const;

function fail(sentence: string): never {
  throw new InputError(`network: ${sentence}${/[.?]$/.test(sentence) ? "" : "."}`);
}

function finite(key: string, value: unknown): void {
  if (!(typeof value === "number" && Math.abs(Math.fround(value)) < Infinity))
    fail(
      `${key} is ${described(value)}, but must be a finite number that f32 can hold. Correct it`,
    );
}

function oneOf(key: string, value: unknown, known: readonly string[]): void {
  if (known.includes(value as string)) return;
  const near = typeof value === "string" ? nearest(value, known) : null;
  fail(
    `${key} is ${described(value)}, but must be one of ${known.join(", ")}. ${near ? `Did you mean "${near}"?` : "Choose one."}`,
  );
}

function hiddenActivations(given: NetworkSpec["activation"], hidden: number): Activation[] {
  const list = typeof given === "string" ? Array<Activation>(hidden).fill(given) : given;
  if (typeof given === "string") oneOf("activation", given, ACTIVATIONS);
  if (!Array.isArray(list))
    fail(
      `activation is ${described(given)}, but must be a name or a list of names. Write "relu", say`,
    );
  list.forEach((name) => oneOf("activation", name, ACTIVATIONS));
  if (hidden > 0 && list.length !== hidden)
    fail(
      `activation lists ${list.length} names, but there are ${hidden} hidden layers. Give one a layer, or one name for all`,
    );
  return [...list];
}
