// Where the packages lie.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);

/** A file of an installed package, whatever its `exports` say. */
export function fileOf(name, ...path) {
  for (const folder of require.resolve.paths(name)) {
    const file = join(folder, name, ...path);
    if (existsSync(file)) return file;
  }
  throw new Error(`peers: ${join(name, ...path)} is not there. Run \`npm ci\` in bench/peers.`);
}
