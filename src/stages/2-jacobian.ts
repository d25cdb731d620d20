import loadWgsl from "../../shaders/fragments/load.wgsl";
import samplesWgsl from "../../shaders/fragments/samples.wgsl";
import rowsWgsl from "../../shaders/2-backward/rows.wgsl";
import type { Gpu } from "../gpu/device.ts";
import { rounded, pitch, type Matrix } from "../gpu/matrix.ts";
import type { Meter } from "../gpu/queue.ts";
import { defineShader } from "../gpu/shader.ts";
import type { Network } from "./0-network.ts";
import type { Activations } from "./1-forward.ts";
import type { Signals } from "./2-backward.ts";

export const rows = defineShader({
  name: "rows",
  wgsl: [rowsWgsl, loadWgsl, samplesWgsl],
  dims: [
    "units",
    "fan",
    "columns",
    "outputs",
    "samples",
    "depth",
    "firstRow",
    "written",
    "firstParameter",
    "count",
    "weightScale",
    "biasScale",
  ],
  buffers: {
    signals: ["read", "units", "columns"],
    acts: ["read", "fan", "samples"],
    panel: ["read_write", "depth", "columns"],
  },
  sizes: {},
});

/**
 * Writes a panel of the Jacobian, transposed: parameters `firstParameter` … as rows, samples × outputs as columns.
 *
 *   panel[p, s] = c[l] · g[l][o, s] · a[l][k, sample of s]   for a weight W[l][o, k]
 *               = β[l] · g[l][o, s]                          for a bias b[l][o]
 *
 * @param panel [parameters in the panel, n · outputs]; changed
 *
 * **Error** two roundings a weight and one a bias, beside those of activations and signals.
 * **Cost** 2 flops and 4 bytes written a value.
 */
export async function fillJacobian(
  gpu: Gpu,
  net: Network,
  acts: Pick<Activations, "n" | "a">,
  signals: Signals,
  firstParameter: number,
  panel: Matrix,
  meter: Meter,
): Promise<void> {
  const end = firstParameter + panel.rows;
  const paddedRows = rounded(panel.rows);
  for (const layer of net.layers) {
    const from = Math.max(firstParameter, layer.firstParameter);
    const to = Math.min(end, layer.firstParameter + layer.parameters);
    if (from >= to) continue;
    const firstRow = from - firstParameter;
    const written = to === end ? paddedRows - firstRow : to - from;
    rows(gpu, {
      dims: {
        units: layer.units,
        fan: layer.fanIn,
        columns: panel.columns,
        outputs: signals.outputs,
        samples: acts.n,
        depth: panel.rows,
        firstRow,
        written,
        firstParameter: from - layer.firstParameter,
        count: to - from,
        weightScale: layer.scale,
        biasScale: layer.shift,
      },
      buffers: { signals: signals.g[layer.index], acts: acts.a[layer.index], panel },
      groups: [Math.ceil(pitch(panel.columns) / 4 / 16), Math.ceil(written / 16)],
      flops: 2 * written * panel.columns,
    });
    await meter(2 * written * panel.columns);
  }
}

/** Floating-point operations of writing a Jacobian. */
export const jacobianFlops = (net: Network, columns: number): number =>
  2 * net.parameters * columns;
