/** What each precision says of the hardest numbers, for README. */
import { network, ntk, PRECISIONS, weights, type Gpu, type Spectrum } from "../../src/index.ts";
import { loadInputs, nodeFiles } from "../../src/node.ts";
import { readFileSync } from "node:fs";
import { withBound } from "../../src/cli/pictures/numbers.ts";
import { halfCircle } from "./matrices.ts";

const exponent = (value: number): string => (value === 0 ? "0" : value.toExponential(1));

/** A table in Markdown: λ_max and λ_min of the main job with their intervals, then λ_min of ever worse conditioned H. */
export async function precisionTable(gpu: Gpu): Promise<string> {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const head = ["problem", ...PRECISIONS];
  const rows: string[][] = [];
  const spec = JSON.parse(readFileSync("src/cli/mnist.json", "utf8"));
  const net = network(spec);
  const { values } = await loadInputs("mnist:0,1:512", { files: nodeFiles });
  const all: Spectrum[] = [];
  for (const precision of PRECISIONS)
    all.push((await ntk(gpu, net, weights(net, 0), values, { precision })).spectrum);
  rows.push(
    [
      "512 digits, λ_max",
      ...all.map(({ lambdaMax, errorBounds }) => withBound(lambdaMax, errorBounds[0])),
    ],
    [
      "512 digits, λ_min",
      ...all.map(({ lambdaMin, lambdaMinBound }) => withBound(lambdaMin, lambdaMinBound)),
    ],
  );
  for (const n of [10, 13, 19]) {
    const problem = halfCircle(n);
    const found: Spectrum[] = [];
    for (const precision of PRECISIONS)
      found.push(
        (await ntk(gpu, network(problem.spec), problem.weights, problem.inputs, { precision }))
          .spectrum,
      );
    const right = found[found.length - 1];
    rows.push([
      `half circle, n = ${n}, κ = ${exponent(right.condition ?? Infinity)}: error (half width) of λ_min, relative`,
      ...found.map(({ lambdaMin, lambdaMinBound }) => {
        const error = Math.abs(lambdaMin - right.lambdaMin) / right.lambdaMin;
        const width = lambdaMinBound / right.lambdaMin;
        return `${lambdaMin === right.lambdaMin ? "" : `${exponent(error)} `}(${exponent(width)})`;
      }),
    ]);
  }
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
