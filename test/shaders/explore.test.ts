import { writeFileSync } from "node:fs";
import { ACTIVATIONS } from "../../src/stages/0-activation.ts";
import { activate } from "../../src/stages/1-forward.ts";
import { mask } from "../../src/stages/2-backward.ts";
import * as ref from "../reference/activations.ts";
import { gpuTest } from "../gpu.ts";
import { points } from "./points.ts";

const names = (process.env.ACTS?.split(",") ?? ACTIVATIONS) as (typeof ACTIVATIONS)[number][];
gpuTest(
  "explore",
  async (gpu) => {
    console.log(gpu.description);
    const z = points();
    const n = z.length / 16;
    const eye = new Float32Array(256);
    for (let i = 0; i < 16; i++) eye[17 * i] = 1;
    using left = gpu.upload("eye", 16, 16, eye);
    using right = gpu.upload("z", 16, n, z);
    using ones = gpu.upload("ones", 1, 16, new Float32Array(16).fill(1));
    using wide = gpu.upload("wide", 1, n, new Float32Array(n).fill(1));
    using bias = gpu.matrix("bias", 1, 16);
    using zo = gpu.matrix("zo", 16, n);
    using a = gpu.matrix("a", 16, n);
    using d = gpu.matrix("d", 16, n);
    const out: Record<string, unknown> = {};
    for (const name of names) {
      const sizes = { ACTIVATION: ACTIVATIONS.indexOf(name), SLOPE: 0.01 };
      let t = Date.now();
      await activate(gpu, { buffers: { left, right, bias, z: zo, a }, sizes }, async () => {});
      const va = await gpu.read(a);
      const t1 = Date.now() - t;
      t = Date.now();
      await mask(
        gpu,
        { buffers: { left: ones, right: wide, z: right, out: d }, sizes },
        async () => {},
      );
      const vd = await gpu.read(d);
      const t2 = Date.now() - t;
      console.log(name, "ms", t1, t2);
      out[name] = {
        a: Array.from(va, (x) => (Number.isFinite(x) ? x : String(x))),
        d: Array.from(vd, (x) => (Number.isFinite(x) ? x : String(x))),
      };
      // summary: worst relative (ulps = u 2^-23) by bucket of z
      const edges = [
        -1e5, -100, -20, -12, -9, -5, -3, -1, -0.625, -0.1, -1e-3, -1e-30, 0, 1e-30, 1e-3, 0.1,
        0.625, 1, 3, 5, 9, 12, 20, 100, 1e5,
      ];
      for (const [label, v, f, terms] of [
        ["phi", va, ref.phi, (nm: any, s: number, x: number) => Math.abs(ref.phi(nm, s, x))],
        ["phi'", vd, ref.phiPrime, ref.phiPrimeTerms],
      ] as const) {
        const rows: string[] = [];
        for (let b = 0; b + 1 < edges.length; b++) {
          let rel = 0,
            at = 0,
            abs = 0,
            tr = 0,
            bad = 0;
          for (let i = 0; i < z.length; i++) {
            if (!(z[i] >= edges[b] && z[i] <= edges[b + 1])) continue;
            const e = f(name as any, Math.fround(0.01), z[i]);
            const err = Math.abs(v[i] - e);
            if (!(err < Infinity)) bad++;
            if (err <= 2 ** -120) continue;
            if (err / Math.abs(e) > rel) {
              rel = err / Math.abs(e);
              at = z[i];
            }
            abs = Math.max(abs, err);
            tr = Math.max(tr, err / terms(name as any, 0.01, z[i]));
          }
          rows.push(
            `   [${edges[b]}, ${edges[b + 1]}] rel ${(rel * 2 ** 23).toPrecision(4)}u at ${at}, terms ${(tr * 2 ** 23).toPrecision(4)}u, abs ${(abs * 2 ** 23).toPrecision(4)}u ${bad ? "BAD " + bad : ""}`,
          );
        }
        console.log(name, label + "\n" + rows.join("\n"));
      }
    }
    writeFileSync(`/tmp/explore-${gpu.description.replace(/\W+/g, "_")}.json`, JSON.stringify(out));
  },
  600000,
);
