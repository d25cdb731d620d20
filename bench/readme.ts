// Writes README's tables "How fast" anew, from what bench/results holds.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { howFast } from "./howFast.ts";
import type { BenchResult } from "./results.ts";

const BEGIN = "<!-- how fast: written by `npm run readme` -->\n";
const END = "<!-- end -->";
const FOLDER = "bench/results";

const results = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .sort()
  .map((name) => JSON.parse(readFileSync(`${FOLDER}/${name}`, "utf8")) as BenchResult);
const text = readFileSync("README.md", "utf8");
const begin = text.indexOf(BEGIN);
const end = text.indexOf(END, begin);
if (begin < 0 || end < 0)
  throw new Error(
    `readme: README.md has no line ${BEGIN.trim()} with ${END} after it, but must. Put both back.`,
  );
const before = text.slice(0, begin + BEGIN.length);
writeFileSync("README.md", `${before}\n${howFast(results)}\n\n${text.slice(end)}`);
