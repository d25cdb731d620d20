import type { GramPlan, Precision, Tuning } from "../index.ts";
import { pairPlan } from "../stages/3-pair.ts";
import type { Model } from "./session.ts";

const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/** What the commands say of a plan before they compute: the route, memory, every route's cost, the product's class. */
export function planLines(
  { net, weights, inputs }: Model,
  gram: GramPlan,
  { plan: product, from, rates }: Tuning,
  precision: Precision = "fast",
): string[] {
  const plan = precision === "compensated" ? pairPlan(net, inputs.n, gram) : gram;
  const now = process.memoryUsage().rss;
  // The copies of weights and inputs that a run makes, a tile and its mirror image, and a read-back.
  const host =
    weights.reduce((sum, { weight, bias }) => sum + 4 * (weight.length + (bias?.length ?? 0)), 0) +
    4 * inputs.values.length +
    3 * plan.hostBytes;
  const sizes = Object.entries(product.sizes).map(([name, value]) => `${name} ${value}`);
  return [
    `plan: ${plan.method}` +
      (plan.panels
        ? `, J of ${mebibytes(4 * plan.rows * net.parameters)} in ${plan.panels.count} panels of ${plan.panels.depth} parameters`
        : "") +
      `; device ${mebibytes(plan.bytes)}, host ${mebibytes(host)}, this process so far ${mebibytes(now)}, ` +
      `together ${mebibytes(plan.bytes + now + host)}`,
    ...plan.routes.map(
      ({ method, flops, bytes, seconds }) =>
        `plan: ${method === "products" ? "H v without H, one v" : method}: ${(flops / 1e9).toPrecision(3)} Gflop, ` +
        `${(bytes / 2 ** 20).toPrecision(3)} MiB, ${seconds.toPrecision(2)} s`,
    ),
    `plan: products by ${[product.class, ...sizes].join(", ")} (${from}); ` +
      `${(rates.flops / 1e9).toPrecision(3)} Gflop/s, ${(rates.bytes / 1e9).toPrecision(3)} GB/s`,
  ];
}

/** The same for the JSON of a command. */
export const planRecord = (plan: GramPlan, tuning: Tuning) => ({
  panels: plan.panels?.count ?? 0,
  bytes: plan.bytes,
  flops: plan.flops,
  routes: plan.routes,
  product: {
    class: tuning.plan.class,
    sizes: tuning.plan.sizes,
    from: tuning.from,
    candidates: tuning.candidates,
    rates: tuning.rates,
  },
});
