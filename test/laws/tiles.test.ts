/** H tile by tile: the bits of H whole, whatever the tile. */
import { expect } from "vitest";
import * as core from "../../src/index.ts";
import { gramTiles } from "../../src/theory.ts";
import { compute, draw, exactGram } from "../conformance/problem.ts";
import { gpuTest } from "../gpu.ts";
import { assertWithin } from "../reference/compare.ts";

const SPECS: core.NetworkSpec[] = [
  { widths: [7, 40, 30, 1], activation: "relu" },
  { widths: [5, 33, 3], activation: "tanh" },
].map((spec) => ({
  ...spec,
  parameterization: "ntk",
  weightScale: 1.4,
  biasScale: 0.2,
})) as core.NetworkSpec[];

for (const [index, spec] of SPECS.entries())
  for (const outputs of ["full", "trace"] as const)
    for (const two of [false, true])
      gpuTest(
        `gramTiles: ${spec.widths.join("-")}, ${outputs}, ${two ? "two sets" : "one set"}: every tile has the bits of gram`,
        async (gpu) => {
          const net = core.network(spec);
          const problem = draw(core, spec, 70, index);
          const d = net.inputs;
          const first = two ? problem.inputs.slice(0, 37 * d) : problem.inputs;
          using weights = core.uploadWeights(gpu, net, problem.weights);
          using acts = await core.forward(gpu, net, weights, first);
          using others = two
            ? await core.forward(gpu, net, weights, problem.inputs.slice(20 * d))
            : null;
          const options = { method: "layerwise", outputs } as const;
          using whole = await core.gram(gpu, net, weights, acts, others, options);
          const values = await gpu.read(whole);
          for (const side of [16, 48, 100, 4096]) {
            const covered = new Uint8Array(values.length);
            const tiles = gramTiles(gpu, net, weights, acts, others, options, undefined, side);
            for await (const tile of tiles)
              for (let i = 0; i < tile.rows; i++)
                for (let j = 0; j < tile.columns; j++) {
                  const at = (tile.row + i) * whole.columns + tile.column + j;
                  covered[at] += 1;
                  if (!Object.is(tile.values[i * tile.columns + j], values[at]))
                    throw new Error(`side ${side}: [${tile.row + i}, ${tile.column + j}] differs`);
                }
            // Each place once; of one set the blocks above the diagonal are the others' mirror image.
            const missing = covered.reduce((sum, times) => sum + (times === 0 ? 1 : 0), 0);
            expect(Math.max(...covered)).toBe(1);
            if (two || side === 4096) expect(missing).toBe(0);
            for (let i = 0; i < whole.rows; i++)
              for (let j = 0; j <= (two ? whole.columns - 1 : i); j++)
                expect(covered[i * whole.columns + j]).toBe(1);
          }
        },
      );

gpuTest(
  "gramTiles: 200 random entries of a kernel of 4 500 samples lie in their bounds; skipped tiles are not computed",
  async (gpu) => {
    const spec = { ...SPECS[0], widths: [16, 64, 64, 1] };
    const net = core.network(spec);
    const n = 4500;
    const inputs = core.normals(77, n * 16);
    const drawn = core.weights(net, 5);
    using weights = core.uploadWeights(gpu, net, drawn);
    using acts = await core.forward(gpu, net, weights, inputs);
    const places = Array.from({ length: 20 }, (_, i) => (i * 1237 + 11) % n);
    const few = new Float32Array(20 * 16);
    places.forEach((s, i) => few.set(inputs.subarray(s * 16, (s + 1) * 16), i * 16));
    // The engine's own activations of these samples, so that no unit at its kink can spoil the comparison.
    const { stored } = await compute(core, gpu, { spec, weights: drawn, inputs: few });
    const { values, bound } = exactGram(stored, stored, { method: "layerwise" });
    const found = new Float64Array(400).fill(NaN);
    let tiles = 0;
    const skipped = 4;
    for await (const tile of gramTiles(
      ...([gpu, net, weights, acts, null, {}] as const),
      (index) => index === skipped,
    )) {
      tiles += 1;
      expect(tile.index).not.toBe(skipped);
      for (let i = 0; i < 20; i++)
        for (let j = 0; j < 20; j++) {
          const [row, column] = [places[i] - tile.row, places[j] - tile.column];
          if (row >= 0 && row < tile.rows && column >= 0 && column < tile.columns)
            found[20 * i + j] = found[20 * j + i] = tile.values[row * tile.columns + column];
        }
    }
    expect(tiles).toBe(5);
    const seen = [...found.keys()].filter((at) => !Number.isNaN(found[at]));
    expect(seen.length).toBeGreaterThan(200);
    const pick = (list: ArrayLike<number>) => Float64Array.from(seen, (at) => list[at]);
    assertWithin(pick(found), pick(values), pick(bound), "H");
  },
);
