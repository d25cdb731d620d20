import type { Gpu, NetworkSpec } from "../../src/index.ts";
import * as core from "../../src/index.ts";
import {
  METHODS,
  compute,
  engineGram,
  exact,
  exactGram,
  type Method,
  type Problem,
} from "../conformance/problem.ts";
import { assertWithin } from "../reference/compare.ts";
import { diagonal, quality } from "../reference/gram.ts";
import { jacobian } from "../reference/jacobian.ts";
import type { ReferenceNetwork } from "../reference/network.ts";
import { GOLDEN, golden } from "../reference/npy.ts";
import { ENGINE } from "./engine.ts";

/** How right one golden case is by one route. */
export interface Row {
  readonly name: (typeof GOLDEN)[number];
  readonly method: Method;
  /** Largest |ΔH_ij| ÷ bound; at most 1. */
  readonly worst: number;
  /** max |ΔH_ij| / √(H_ii H_jj); at most 1e-6. */
  readonly quality: number;
  /** Largest |Δλ| ÷ the printed half width; at most 1. */
  readonly eigenvalue: number;
  /** Largest printed half width over λ_max; at most 5e-6. */
  readonly width: number;
  /** Largest error ÷ bound of the outputs, and of J where the case has it. */
  readonly outputs: number;
  readonly jacobian: number | null;
}

/** The golden cases by both routes on one engine. @throws Error where an entry is outside its bound */
export async function howRight(gpu: Gpu): Promise<Row[]> {
  const rows: Row[] = [];
  for (const name of GOLDEN) {
    const { net, weights, inputs, out, ntk, eig, jac } = golden(name);
    const problem: Problem = {
      spec: goldenSpec(net),
      weights: weights.map(({ weight, bias }) => ({
        weight: Float32Array.from(weight),
        bias: bias && Float32Array.from(bias),
      })),
      inputs,
    };
    const reference = exact(problem, ENGINE);
    const { activations, signals } = reference.pass;
    const last = activations.dz.length - 1;
    const found = await compute(core, gpu, problem);
    const outputs = assertWithin(found.out, out, activations.dz[last], `${name}: outputs`).worst;
    const { bound: jacBound } = jacobian(reference.net, activations, signals);
    const ofJacobian = jac && assertWithin(found.jac, jac, jacBound, `${name}: J`).worst;
    for (const method of METHODS) {
      const { values, route } = await engineGram(core, gpu, problem, { method });
      const { bound } = exactGram(reference, reference, route);
      const { spectrum } = await core.ntk(gpu, found.net, problem.weights, inputs, { method });
      const { eigenvalues, errorBounds, lambdaMax } = spectrum;
      const right = Float64Array.from(eig).reverse();
      const label = `${name}, ${method}`;
      rows.push({
        name,
        method,
        worst: assertWithin(values, ntk, bound, `${label}: H`).worst,
        quality: quality(values, ntk, diagonal(ntk)),
        eigenvalue: assertWithin(eigenvalues, right, errorBounds, `${label}: eigenvalues`).worst,
        width: Math.max(...errorBounds) / lambdaMax,
        outputs,
        jacobian: ofJacobian,
      });
    }
  }
  return rows;
}

/** The engine takes a slope only where a layer has one. */
function goldenSpec({ negativeSlope, ...spec }: ReferenceNetwork): NetworkSpec {
  return spec.activation.includes("leaky_relu") ? { ...spec, negativeSlope } : spec;
}

/** Two digits. */
const figure = (value: number): string =>
  value < 0.01 ? value.toExponential(1) : value.toPrecision(2);

/** A table in Markdown, by short names of adapters: one line a case and route, four columns an adapter. */
export function markdown(byAdapter: ReadonlyMap<string, readonly Row[]>): string {
  const adapters = [...byAdapter.keys()];
  const [first = []] = byAdapter.values();
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const figures = ["error ÷ bound", "quality", "eigenvalue", "half width / λ_max"];
  const head = adapters.flatMap((name) => figures.map((each) => `${each}, ${name}`));
  const rows = first.map(({ name, method }, i) =>
    line([
      name,
      method,
      ...adapters.flatMap((adapter) => {
        const row = byAdapter.get(adapter)![i];
        return [figure(row.worst), figure(row.quality), figure(row.eigenvalue), figure(row.width)];
      }),
    ]),
  );
  const columns = ["case", "route", ...head];
  return [line(columns), line(columns.map(() => "---")), ...rows].join("\n");
}
