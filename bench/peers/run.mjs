// Times the packages by hand:
//
//   node bench/peers/run.mjs --adapter lavapipe jjt512 ntk        works whose name starts so; default all
//
// --packages jax,ort   --backends webgpu   --repeats 7   --seconds 10 (a peer and work)   --json   --verbose
// --skip "jax-js webgpu,tfjs webgpu"
import { parseArgs } from "node:util";
import { reference, verdict } from "./check.mjs";
import { openPeers } from "./peers.mjs";
import { WORKS } from "./works.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    adapter: { type: "string", default: process.env.NTK_ADAPTER ?? "" },
    packages: { type: "string" },
    backends: { type: "string" },
    repeats: { type: "string", default: "7" },
    seconds: { type: "string", default: "10" },
    json: { type: "boolean" },
    skip: { type: "string", default: "" },
    verbose: { type: "boolean" },
  },
});
const list = (text) => text?.split(",");
const say = (text) => process.stderr.write(`${text}\n`);

const { adapters } = await import("../../dist/node.js");
const wanted = options.adapter.toLowerCase().replace("lavapipe", "llvmpipe");
const infos = await adapters();
const info = infos.find((one) =>
  [one.name, one.description, one.kind].some((field) => field.toLowerCase().includes(wanted)),
);
if (!info) throw new Error(`run: no adapter matches "${wanted}".`);

const { peers, failures, close } = await openPeers({
  adapter: info.name,
  packages: list(options.packages),
  backends: list(options.backends),
  log: options.verbose ? say : undefined,
});
for (const { name, backend, error } of failures) say(`${name} ${backend}: ${error}`);

const middle = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const rows = [];
for (const [name, make] of Object.entries(WORKS)) {
  if (positionals.length > 0 && !positionals.some((start) => name.startsWith(start))) continue;
  await timeWork(name, make());
}
close();
if (options.json) process.stdout.write(`${JSON.stringify({ adapter: info.description, rows })}\n`);

/** Checks every peer's result, then times the right ones in turns: round by round, so that none has the best hour. */
async function timeWork(workName, work) {
  const exact = reference(work);
  const running = [];
  for (const peer of peers) {
    const { name, version, backend, threads } = peer;
    if (list(options.skip).includes(`${name} ${backend}`)) continue;
    const row = { name, version, backend, threads, work: workName };
    let job = null;
    try {
      job = await peer.prepare(work);
      if (job === null) continue;
      row.firstMs = (await job.run()).ms;
      for (let warm = 0, spent = 0; warm < 3 && spent < 3000; warm++) spent += (await job.run()).ms;
      Object.assign(row, verdict(await job.read(), exact));
    } catch (error) {
      Object.assign(row, { correct: false, error: error.message });
    }
    rows.push(row);
    if (row.correct) running.push({ row, job, ms: [], cpuMs: [] });
    else {
      say(`${workName}  ${name} ${backend}: ${row.error.split("\n")[0].slice(0, 200)}`);
      await job?.destroy().catch(() => {});
    }
  }
  for (let round = 0; round < Number(options.repeats); round++)
    for (const one of running) {
      if (one.row.error || one.ms.reduce((sum, ms) => sum + ms, 0) > 1000 * options.seconds)
        continue;
      try {
        const { ms, cpuMs } = await one.job.run();
        one.ms.push(ms);
        one.cpuMs.push(cpuMs);
      } catch (error) {
        Object.assign(one.row, { correct: false, error: error.message });
      }
    }
  for (const { row, job, ms, cpuMs } of running) {
    await job.destroy().catch(() => {});
    if (row.error) continue;
    const sorted = ms.toSorted((a, b) => a - b);
    row.ms = { min: sorted[0], median: middle(ms), max: sorted.at(-1) };
    row.cpuMs = middle(cpuMs);
    say(
      `${workName}  ${`${row.name} ${row.backend}`.padEnd(32)} ${row.ms.median.toFixed(1).padStart(9)} ms` +
        `  (min ${row.ms.min.toFixed(1)}, max ${row.ms.max.toFixed(1)}, cpu ${row.cpuMs.toFixed(0)},` +
        ` first ${row.firstMs.toFixed(0)})  error ${row.worst.toExponential(1)}`,
    );
  }
}
