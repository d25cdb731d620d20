import loadWgsl from "../../shaders/fragments/load.wgsl";
import pickWgsl from "../../shaders/5-training/pick.wgsl";
import { defineShader } from "../gpu/shader.ts";
import { bits } from "../stages/0-normal.ts";

export const pick = defineShader({
  name: "pick",
  wgsl: [pickWgsl, loadWgsl],
  dims: ["rows", "n", "columns", "first"],
  buffers: {
    matrix: ["read", "rows", "n"],
    order: ["read", 1, "n"],
    out: ["read_write", "rows", "columns"],
  },
  sizes: {},
});

/** The numbers 0 … n − 1 in the order of one pass through the samples, the same on every machine. */
export function shuffled(n: number, seed: number, epoch: number): Float32Array<ArrayBuffer> {
  const order = Float32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor((bits(seed, epoch * n + i) / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
