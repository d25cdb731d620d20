// Writes README's table "How right" anew: the golden cases on every adapter of this machine.
import { readFileSync, writeFileSync } from "node:fs";
import { adapters, openGpu } from "../../src/node.ts";
import { howRight, markdown, type Row } from "./howRight.ts";

const BEGIN = "<!-- how right: written by `npm run readme` -->\n";
const END = "<!-- end -->";

const byAdapter = new Map<string, Row[]>();
for (const { name, description } of await adapters()) {
  process.stderr.write(`readme: ${description}\n`);
  const gpu = await openGpu({ adapter: name });
  byAdapter.set(/SwiftShader|llvmpipe/.exec(name)?.[0] ?? name, await howRight(gpu));
  gpu.destroy();
}
const text = readFileSync("README.md", "utf8");
const [before, after] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
writeFileSync(
  "README.md",
  `${text.slice(0, before)}\n${markdown(byAdapter)}\n\n${text.slice(after)}`,
);
