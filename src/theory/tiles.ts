import type { Gpu } from "../gpu/device.ts";
import type { Meter } from "../gpu/queue.ts";
import { FiniteCheck } from "../stages/0-finite.ts";
import type { Network } from "../stages/0-network.ts";
import { tuned } from "../stages/0-search.ts";
import type { DeviceWeights } from "../stages/0-weights.ts";
import type { Activations } from "../stages/1-forward.ts";
import { addLayers, mirrorLower, NOT_FINITE, Sides } from "../stages/3-gram.ts";
import { tileSamples, TILE_SIDE, type GramOptions } from "../stages/3-plan.ts";

/** A block of H by the layer-by-layer route, on the host. */
export interface GramTile {
  /** Place of its first entry in H. */
  readonly row: number;
  readonly column: number;
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] row-major, borrowed until the next tile is asked for; whole also on the diagonal. */
  readonly values: Float32Array<ArrayBuffer>;
}

/**
 * The tangent kernel in tiles, for one that no device holds: layer by layer, each tile read back before the next.
 * One set of samples with itself gives the tiles of the lower triangle.
 *
 * ```ts
 * using onDevice = uploadWeights(gpu, net, weights(net, 0));
 * using acts = await forward(gpu, net, onDevice, normals(1, 5000 * net.inputs));
 * let trace = 0;
 * for await (const { row, column, rows, values } of gramTiles(gpu, net, onDevice, acts))
 *   for (let i = 0; i < rows && row === column; i++) trace += values[i * rows + i];
 * ```
 *
 * @param skip whether a tile, known by its place in the order, is left out
 * @param side rows and columns of a tile at the most; no bit depends on it
 *
 * **Error** that of `gram`, bit by bit.
 * **Cost** Σ_l n²(fanIn + O² units) flops; two tiles on the device, one on the host, beside the passes.
 * @throws NonFiniteError where an entry overflows
 */
export async function* gramTiles(
  gpu: Gpu,
  net: Network,
  weights: DeviceWeights,
  acts: Activations,
  others: Activations | null = null,
  options: GramOptions = {},
  skip: (index: number) => boolean = () => false,
  side = TILE_SIDE,
): AsyncGenerator<GramTile & { readonly index: number }> {
  const each = options.outputs === "trace" ? 1 : net.outputs;
  const samples = tileSamples(each, side);
  const corners = [...tileCorners(acts.n, others?.n ?? 0, samples)];
  await tuned(gpu);
  using sides = await Sides.open(gpu, net, weights, acts, others, options);
  await sides.settle(gpu, net, options);
  const values = new Float32Array(
    Math.min(samples, acts.n) * Math.min(samples, (others ?? acts).n) * each * each,
  );
  const passes = corners.length * net.layers.length * sides.left.signals.length;
  let done = 0;
  for (const [index, { row, column }] of corners.entries()) {
    const height = Math.min(samples, acts.n - row);
    const width = Math.min(samples, (others ?? acts).n - column);
    const [rows, columns] = [height * each, width * each];
    if (!skip(index)) {
      using out = gpu.matrix("gram tile", rows, columns);
      using check = new FiniteCheck(gpu, 1);
      const meter: Meter = () => gpu.queue.pace(options, "gram", done / passes);
      const triangle = !others && row === column;
      await addLayers(
        gpu,
        net,
        sides,
        { row, column, rows: height, columns: width, triangle },
        out,
        meter,
      );
      if (triangle) mirrorLower(gpu, out);
      check.watch(out, NOT_FINITE);
      await check.settle(options);
      const filled = values.subarray(0, rows * columns);
      await gpu.read(out, options, 0, rows, filled);
      yield { index, row: row * each, column: column * each, rows, columns, values: filled };
    }
    done += net.layers.length * sides.left.signals.length;
  }
}

/** A tile's place among samples. */
interface Corner {
  readonly row: number;
  readonly column: number;
}

/**
 * The corners of the tiles that H is made of, in samples: for one set those of the lower triangle, row by row.
 *
 * @param samples along the side of a tile
 */
function* tileCorners(n1: number, n2: number, samples: number): Generator<Corner> {
  for (let row = 0; row < n1; row += samples)
    for (let column = 0; column < (n2 || row + 1); column += samples) yield { row, column };
}
