import { InputError } from "../errors.ts";
import { READ_BYTES, type Gpu } from "../gpu/device.ts";
import { ALIGN, matrixBytes } from "../gpu/matrix.ts";
import { checkMatrixFits, planPanels, type PanelPlan } from "../gpu/plan.ts";
import type { Job } from "../gpu/queue.ts";
import { checkOptions } from "../gpu/values.ts";
import type { Network } from "./0-network.ts";
import { laysOut, productFlops, SLAB } from "./0-product.ts";
import { knownRates, type Rates } from "./0-search.ts";
import { jacobianFlops } from "./2-jacobian.ts";

/** `jacobian`: H = J Jᵀ in panels of parameters. `layerwise`: each layer's factors, without J. `auto`: the faster. */
export type GramMethod = "auto" | "jacobian" | "layerwise";

/** How the tangent kernel is to be computed. */
export interface GramOptions extends Job {
  readonly method?: GramMethod;
  /** `full` (default): every pair of outputs. `trace`: the mean over equal outputs. */
  readonly outputs?: "full" | "trace";
  /** Number of panels that a Jacobian is cut into, instead of the plan's own; for tests of the cutting. */
  readonly panels?: number;
}

/** The names of {@link GramOptions}. */
export const GRAM_OPTIONS = ["method", "outputs", "panels", "signal", "onProgress"] as const;

/** What a tangent kernel will take, known before anything is allocated. */
export interface GramPlan {
  readonly method: "jacobian" | "layerwise";
  /** H has this many rows and columns. */
  readonly rows: number;
  readonly columns: number;
  /** How the Jacobian is cut; null for `layerwise`. */
  readonly panels: PanelPlan | null;
  /** Every route with what it would take. */
  readonly routes: readonly Route[];
  /** Floating-point operations beyond the passes. */
  readonly flops: number;
  /** Most bytes on the device at once, from the weights to H and its read-back. */
  readonly bytes: number;
  /** Bytes of H that the host holds at once while it writes them to a file. */
  readonly hostBytes: number;
}

/**
 * Plans a tangent kernel: route, shape, panels, operations.
 *
 * @param n1 samples along the rows of H
 * @param n2 samples along the columns; 0 for the kernel of the first set with itself
 * @param tiled H is not held on the device but read back tile by tile, as `gramTiles` does; layer by layer only
 * @throws InputError for wrong options, GpuError "limit" where anything of it does not fit
 */
export function planGram(
  gpu: Pick<Gpu, "limits"> & Partial<Pick<Gpu, "host">>,
  net: Network,
  n1: number,
  n2: number,
  options: GramOptions = {},
  tiled = false,
): GramPlan {
  checkOptions("gram", options, GRAM_OPTIONS);
  const { method = "auto", outputs = "full", panels } = options;
  if (!["auto", "jacobian", "layerwise"].includes(method))
    throw new InputError(
      `gram: method is "${method}", but must be auto, jacobian or layerwise. Choose one.`,
    );
  if (!["full", "trace"].includes(outputs))
    throw new InputError(`gram: outputs is "${outputs}", but must be full or trace. Choose one.`);
  if (panels !== undefined && !(Number.isSafeInteger(panels) && panels >= 1))
    throw new InputError(
      `gram: panels is ${panels}, but must be a whole number from 1. Correct it.`,
    );
  const [groups, each] = outputs === "full" ? [1, net.outputs] : [net.outputs, 1];
  const rows = n1 * each;
  const columns = (n2 || n1) * each;
  const triangle = n2 === 0;
  if (!tiled || method === "jacobian") checkMatrixFits(gpu.limits, "gram", rows, columns);
  for (const { index, fanIn, units } of net.layers) {
    const layer = `layer ${index + 1}`;
    checkMatrixFits(gpu.limits, `${layer} weights`, fanIn, units);
    if (index > 0) checkMatrixFits(gpu.limits, `${layer} weights`, units, fanIn);
    for (const n of triangle ? [n1] : [n1, n2]) {
      checkMatrixFits(gpu.limits, `activations below ${layer}`, fanIn, n);
      checkMatrixFits(gpu.limits, `pre-activations of ${layer}`, units, n);
      checkMatrixFits(gpu.limits, `signals of ${layer}`, units, n * each);
    }
  }
  const routes = planRoutes(net, n1, n2, outputs, knownRates(gpu));
  const alone = tiled && matrixBytes(rows, columns) > gpu.limits.maxStorageBufferBindingSize;
  const possible = routes.filter(isWhole).filter((route) => !alone || route.method === "layerwise");
  const chosen =
    method === "auto" ? faster(possible) : possible.find((route) => route.method === method)!;
  const cut =
    chosen.method === "jacobian"
      ? planPanels(gpu.limits, net.parameters, Math.max(rows, columns), panels)
      : null;
  const sides = triangle ? [n1] : [n1, n2];
  const layers = net.layers.map(
    ({ fanIn, units }) =>
      2 * matrixBytes(fanIn, units) +
      sides.reduce(
        (sum, n) =>
          sum +
          matrixBytes(fanIn, n) +
          matrixBytes(units, n) +
          groups * matrixBytes(units, n * each),
        0,
      ),
  );
  const inTiles = tiled && chosen.method === "layerwise";
  const side = (n: number) => (inTiles ? Math.min(n, tileSamples(each)) : n);
  const [high, wide] = [side(n1), side(n2 || n1)];
  const held = matrixBytes(high * each, wide * each);
  const factors = cut ? sides.length * cut.bytes : 0;
  const deepest = cut?.depth ?? Math.max(net.outputs, ...net.layers.map(({ fanIn }) => fanIn));
  return {
    method: chosen.method,
    rows,
    columns,
    panels: cut,
    routes,
    flops: chosen.flops,
    bytes:
      layers.reduce((sum, bytes) => sum + bytes, held + READ_BYTES) +
      (factors || matrixBytes(high, wide)) +
      // What a product multiplies are some of a layer's matrices, or the Jacobian's panels; deep ones are added in turn.
      (laysOut(gpu) ? Math.max(factors, ...layers) + (deepest > SLAB ? held : 0) : 0),
    hostBytes: inTiles ? 4 * high * wide * each * each : READ_BYTES / 2,
  };
}

/** What one way to the tangent kernel would take beyond the forward and backward passes. */
export interface Route {
  /** `products`: H v for one v by a weighted pass back and a tangent pass forward, without H. */
  readonly method: "jacobian" | "layerwise" | "products";
  readonly flops: number;
  /** Read and written beside what stays in registers. */
  readonly bytes: number;
  /** Predicted from the adapter's measured rates; those of a small GPU where nothing was measured. */
  readonly seconds: number;
}

/** A route that adds in another order gives other bits: it must save half of the time, and more than this. */
const WORTH_SECONDS = 0.01;

/** The first route, unless a later one is so much faster that no noise of the measured rates can be the reason. */
const faster = <R extends Route>(routes: readonly R[]): R =>
  routes.reduce((a, b) =>
    b.seconds < a.seconds / 2 && a.seconds - b.seconds > WORTH_SECONDS ? b : a,
  );

const isWhole = (route: Route): route is Route & { method: "jacobian" | "layerwise" } =>
  route.method !== "products";

/**
 * The cost model: operations and bytes of each route, counted from the shapes, and seconds at the adapter's rates.
 *
 *   seconds = flops / rate of products + bytes / rate of passes + dispatches / rate of dispatches
 *
 * @param n2 0 for the kernel of one set with itself
 */
export function planRoutes(
  net: Network,
  n1: number,
  n2: number,
  outputs: "full" | "trace",
  rates: Rates,
): Route[] {
  const triangle = n2 === 0;
  const [groups, each] = outputs === "full" ? [1, net.outputs] : [net.outputs, 1];
  const others = n2 || n1;
  const [rows, columns] = [n1 * each, others * each];
  const values = (rows * columns) / (triangle ? 2 : 1);
  const pairs = (n1 * others) / (triangle ? 2 : 1);
  const sides = triangle ? n1 : n1 + n2;
  const route = (method: Route["method"], flops: number, bytes: number, dispatches: number) => ({
    ...{ method, flops, bytes },
    seconds: flops / rates.flops + bytes / rates.bytes + dispatches / rates.dispatches,
  });
  const { parameters, layers } = net;
  let layerwise = 0;
  for (const { fanIn, units } of layers)
    layerwise +=
      productFlops(fanIn, n1, others, triangle) +
      groups * productFlops(units, rows, columns, triangle);
  const jacobian = productFlops(parameters, rows, columns, triangle);
  return [
    // Each layer writes and reads the activations' Gram, and reads and writes H.
    route(
      "layerwise",
      layerwise,
      4 * layers.length * (2 * pairs + 2 * groups * values),
      2 * layers.length * groups,
    ),
    // J is written once and read once beside the products; H is read and written once a panel.
    route(
      "jacobian",
      groups * (jacobianFlops(net, sides * each) + jacobian),
      4 * groups * (2 * sides * each * parameters + 2 * values * Math.ceil(parameters / 4096)),
      groups * 3 * Math.ceil(parameters / 4096),
    ),
    // A weighted pass back with the weights' gradient, and a tangent pass forward: four products a layer.
    route("products", 8 * sides * groups * parameters, 16 * parameters, 8 * layers.length),
  ];
}

/** Rows and columns of a tile of H are at most this many, unless a sample alone has more. */
export const TILE_SIDE = 2048;

/** Samples along the side of a tile: a multiple of 16. */
export const tileSamples = (outputs: number, side = TILE_SIDE): number =>
  Math.max(ALIGN, Math.floor(side / outputs / ALIGN) * ALIGN);
