// Writes README's tables "How right" anew: the golden cases on every adapter of this machine, and the precisions.
import { readFileSync, writeFileSync } from "node:fs";
import { adapters, openGpu } from "../../src/node.ts";
import { howRight, markdown, type Row } from "./howRight.ts";
import { precisionTable } from "./precisions.ts";

const END = "<!-- end -->";

/** Puts a table between the marks of a part of README. */
function write(part: string, table: string): void {
  const begin = `<!-- ${part}: written by \`npm run readme\` -->\n`;
  const text = readFileSync("README.md", "utf8");
  const from = text.indexOf(begin) + begin.length;
  const to = text.indexOf(END, from);
  if (from < begin.length || to < 0)
    throw new Error(
      `readme: README.md has no line ${begin.trim()} with ${END} after it, but must. Put both back.`,
    );
  writeFileSync("README.md", `${text.slice(0, from)}\n${table}\n\n${text.slice(to)}`);
}

const byAdapter = new Map<string, Row[]>();
const precisions: string[] = [];
for (const { name, description } of await adapters()) {
  process.stderr.write(`readme: ${description}\n`);
  const gpu = await openGpu({ adapter: name });
  byAdapter.set(/SwiftShader|llvmpipe/.exec(name)?.[0] ?? name, await howRight(gpu));
  precisions.push(await precisionTable(gpu));
  gpu.destroy();
}
write("how right", markdown(byAdapter));
write("precisions", precisions[0]);
