import {
  forward,
  decideKinks,
  InputError,
  planGram,
  tangentKernel,
  tuned,
  uploadWeights,
  type GramPlan,
  type Gpu,
  type Matrix,
  type Precision,
} from "../index.ts";
import { gramTiles, type GramTile } from "../theory.ts";
import { matrixBytes } from "../gpu/matrix.ts";
import { isFilePlace, TiledNpy, type Block } from "../formats/tiled.ts";
import { npyHeader, writeAtomic } from "../node.ts";
import { planLines, planRecord } from "./plan.ts";
import { oneOf, Session, type Model, type ModelOptions } from "./session.ts";

/** Options of the commands that compute a tangent kernel. */
export interface GramCommandOptions extends ModelOptions {
  readonly method?: string;
  readonly outputs?: string;
}

/** Route and outputs out of a command's options. */
export const gramChoice = ({ method = "auto", outputs = "full" }: GramCommandOptions) => ({
  method: oneOf("method", method, ["auto", "jacobian", "layerwise"]),
  outputs: oneOf("outputs", outputs, ["full", "trace"]),
});

/** What a precision makes of the choice: only f32 goes another way than layer by layer. */
export const routeChoice = (choice: ReturnType<typeof gramChoice>, precision: Precision) =>
  precision === "fast" ? choice : { ...choice, method: "layerwise" as const };

/** Whether H is to be stored on the device; else it does not fit, and nothing was asked for that needs it there. */
export const isStored = (
  gpu: Gpu,
  order: number,
  { method, outputs }: ReturnType<typeof gramChoice>,
): boolean =>
  matrixBytes(order, order) <= gpu.limits.maxStorageBufferBindingSize ||
  outputs === "trace" ||
  method !== "auto";

/** Rows of H that the host holds at once take at most this much. */
const HOST_BYTES = 16 * 2 ** 20;

/** `ntk gram`: H = J Jᵀ of one set of inputs, or between two. */
export async function gramCommand(
  options: GramCommandOptions & { inputs2?: string; plan?: boolean; resume?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(options, signal);
  try {
    const choice = gramChoice(options);
    if (options.resume && options.out === undefined)
      throw new InputError(
        "--resume is given without --out, but goes on with an unfinished file. Add --out FILE.",
      );
    await session.writable(options.out);
    const model = await session.model(options, options.inputs2);
    const { net, weights, inputs, others } = model;
    const gpu = await session.gpu();
    const tuning = await tuned(gpu);
    const tiled = options.out !== undefined && (await isFilePlace(options.out));
    const plan = planGram(gpu, net, inputs.n, others?.n ?? 0, choice, tiled);
    session.say(planLines(model, plan, tuning).join("\n"));
    const each = plan.rows / inputs.n;
    const n2 = (others ?? inputs).n;
    const shape = each === 1 ? [inputs.n, n2] : [inputs.n, n2, each, each];
    const record = {
      n: inputs.n,
      ...(others ? { n2 } : {}),
      outputs: net.outputs,
      parameters: net.parameters,
      method: plan.method,
      shape,
      plan: planRecord(plan, tuning),
    };
    if (options.plan) {
      session.finish(record, () => ["nothing was computed: --plan only plans"]);
      return;
    }
    if (options.out && tiled && plan.method === "layerwise")
      await streamTiles(gpu, model, plan, shape, choice, session, options.out, {
        resume: options.resume ?? false,
        signal,
      });
    else {
      if (options.resume)
        throw new InputError(
          "--resume is given with the jacobian route or a pipe, but only the layer-by-layer route goes on tile by tile, and in a file. Add --method layerwise, name a file, or leave --resume out.",
        );
      using h = await tangentKernel(gpu, net, weights, inputs.values, others?.values ?? null, {
        ...session.job,
        ...choice,
        method: plan.method,
      });
      session.enter("write");
      if (options.out) await writeAtomic(options.out, gramFile(gpu, h, shape, signal));
    }
    session.finish(record, () => [
      `H [${shape.join(", ")}] by ${plan.method}${options.out ? ` → ${options.out}` : ""}`,
    ]);
  } finally {
    session.close();
  }
}

/** Computes H tile by tile and writes each to its places in the file. */
async function streamTiles(
  gpu: Gpu,
  { net, spec, weights, inputs, others }: Model & { others: Model["inputs"] | null },
  plan: GramPlan,
  shape: readonly number[],
  choice: ReturnType<typeof gramChoice>,
  session: Session,
  path: string,
  { resume, signal }: { resume: boolean; signal: AbortSignal },
): Promise<void> {
  const each = plan.rows / inputs.n;
  const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    new Uint8Array(buffer, byteOffset, byteLength);
  const file = await TiledNpy.open(path, {
    shape,
    rows: inputs.n,
    columns: plan.columns * each,
    resume,
    job: [
      JSON.stringify([spec, choice.outputs, gpu.description, plan.hostBytes]),
      ...weights.flatMap(({ weight, bias }) => [bytesOf(weight), ...(bias ? [bytesOf(bias)] : [])]),
      bytesOf(inputs.values),
      ...(others ? [bytesOf(others.values)] : []),
    ],
  });
  try {
    const { job } = session;
    using onDevice = uploadWeights(gpu, net, weights);
    using acts = await forward(gpu, net, onDevice, inputs.values, job);
    await decideKinks(gpu, net, weights, inputs.values, acts, job);
    using otherActs = others && (await forward(gpu, net, onDevice, others.values, job));
    if (others && otherActs) await decideKinks(gpu, net, weights, others.values, otherActs, job);
    const tiles = gramTiles(gpu, net, onDevice, acts, otherActs, { ...job, ...choice }, (index) =>
      file.has(index),
    );
    for await (const tile of tiles) {
      signal.throwIfAborted();
      session.enter("write");
      const blocks = [fileBlock(tile, each)];
      if (!others && tile.row !== tile.column) blocks.push(fileBlock(turned(tile), each));
      await file.write(tile.index, blocks);
    }
    await file.finish();
  } catch (error) {
    await file.abandon();
    throw error;
  }
}

/** A tile as the file holds it: a row a sample, each with its pairs of outputs. */
function fileBlock(tile: GramTile, each: number): Block {
  const [n1, n2] = [tile.rows / each, tile.columns / each];
  return {
    row: tile.row / each,
    column: tile.column * each,
    rows: n1,
    columns: n2 * each * each,
    values: each === 1 ? tile.values : outputsLast(tile.values, n1, n2, each),
  };
}

/** The tile on the other side of the diagonal. */
function turned({ row, column, rows, columns, values }: GramTile): GramTile {
  const other = new Float32Array(values.length);
  // In squares, so that neither side runs through memory with every step.
  const SQUARE = 32;
  for (let i0 = 0; i0 < rows; i0 += SQUARE)
    for (let j0 = 0; j0 < columns; j0 += SQUARE)
      for (let i = i0; i < Math.min(rows, i0 + SQUARE); i++)
        for (let j = j0; j < Math.min(columns, j0 + SQUARE); j++)
          other[j * rows + i] = values[i * columns + j];
  return { row: column, column: row, rows: columns, columns: rows, values: other };
}

/** The file of H: [n1, n2] as it lies, [n1, n2, O, O] with the outputs' axes moved to the end. */
export async function* gramFile(
  gpu: Gpu,
  h: Matrix,
  shape: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  yield npyHeader(shape, "f4");
  const [n1, n2, each = 1] = shape;
  const height = Math.max(1, Math.floor(HOST_BYTES / (4 * each * h.columns)));
  for (let start = 0; start < n1; start += height) {
    const count = Math.min(height, n1 - start);
    const values = await gpu.read(h, { signal }, start * each, count * each);
    yield new Uint8Array(
      (each === 1 ? values : outputsLast(values, count, n2, each)).buffer as ArrayBuffer,
    );
  }
}

/** [i · O + a, j · O + b] → [i, j, a, b]. */
export function outputsLast<A extends Float32Array | Float64Array>(
  values: A,
  n1: number,
  n2: number,
  each: number,
): A {
  const out = values.slice() as A;
  let at = 0;
  for (let i = 0; i < n1; i++)
    for (let j = 0; j < n2; j++)
      for (let a = 0; a < each; a++)
        for (let b = 0; b < each; b++)
          out[at++] = values[(i * each + a) * n2 * each + j * each + b];
  return out;
}
