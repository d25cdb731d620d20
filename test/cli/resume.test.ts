/** A kernel in tiles that is killed half-way, and gone on with. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { expect } from "vitest";
import { deviceTest, Folder, words } from "./run.ts";

const folder = new Folder();
const SPEC = {
  widths: [16, 96, 96, 1],
  activation: "relu",
  parameterization: "ntk",
  weightScale: 1.4,
  biasScale: 0.1,
};
// 5 000 samples are three tiles a side: six of the lower triangle.
const JOB = "gram --network net.json --inputs sphere:16:5000:1 --method layerwise --out H.npy";

const finished = (): number =>
  existsSync(folder.at("H.npy.finished"))
    ? readFileSync(folder.at("H.npy.finished"), "utf8").split("\n").length - 2
    : 0;

async function killedHalfWay(): Promise<void> {
  const { child, done } = folder.start(words(`${JOB} --resume`));
  while (finished() < 2 && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGKILL");
  await done;
  expect(finished()).toBeGreaterThanOrEqual(2);
  expect(finished()).toBeLessThan(6);
  expect(existsSync(folder.at("H.npy"))).toBe(false);
}

deviceTest(
  "gram: killed half-way and resumed, the file's bytes are those of an undisturbed run",
  async () => {
    folder.network("net.json", SPEC);
    expect((await folder.ntk(JOB)).status).toBe(0);
    expect(existsSync(folder.at("H.npy.partial"))).toBe(false);
    const undisturbed = folder.bytes("H.npy");
    expect((await folder.ntk(JOB)).status).toBe(0);
    expect(folder.bytes("H.npy").equals(undisturbed), "a second run").toBe(true);
    rmSync(folder.at("H.npy"));

    await killedHalfWay();
    const other = await folder.ntk(`${JOB} --resume --seed 7`);
    expect(other.status).toBe(2);
    expect(other.last).toMatch(/belongs to another job, but must be of this one/);
    // The remaining tiles alone are computed; the finished ones are taken as they lie.
    const resumed = await folder.ntk(`${JOB} --resume`);
    expect(resumed.status, resumed.stderr).toBe(0);
    expect(folder.bytes("H.npy").equals(undisturbed), "resumed").toBe(true);
    for (const rest of ["H.npy.partial", "H.npy.finished"])
      expect(existsSync(folder.at(rest)), rest).toBe(false);

    // A list without its blocks is no list.
    rmSync(folder.at("H.npy"));
    await killedHalfWay();
    rmSync(folder.at("H.npy.partial"));
    expect((await folder.ntk(`${JOB} --resume`)).status).toBe(0);
    expect(folder.bytes("H.npy").equals(undisturbed), "from a list alone").toBe(true);
  },
);

deviceTest("gram: interrupted without --resume, nothing half-written is left", async () => {
  folder.network("stop.json", SPEC);
  const job = "gram --network stop.json --inputs sphere:16:5000:1 --method layerwise --out S.npy";
  const { child, done } = folder.start(words(job));
  while (!existsSync(folder.at("S.npy.partial")) && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGINT");
  const { status, last } = await done;
  expect({ status, last }).toEqual({
    status: 130,
    last: "ntk: interrupted; nothing half-written is left.",
  });
  for (const rest of ["S.npy", "S.npy.partial", "S.npy.finished"])
    expect(existsSync(folder.at(rest)), rest).toBe(false);
});

deviceTest("gram: what is no file is written to as it is, in one piece", async () => {
  folder.network("null.json", SPEC);
  const job = "gram --network null.json --inputs sphere:16:40:1 --method layerwise --out /dev/null";
  expect((await folder.ntk(job)).status).toBe(0);
  expect(existsSync("/dev/null.partial")).toBe(false);
});

deviceTest("gram: --plan says what each route would take, and computes nothing", async () => {
  folder.network("plan.json", SPEC);
  const printed = await folder.json(
    "gram --network plan.json --inputs sphere:16:60:1 --plan --out P.npy",
  );
  expect(existsSync(folder.at("P.npy"))).toBe(false);
  const { routes, product } = printed.plan;
  expect(routes.map(({ method }: { method: string }) => method).sort()).toEqual([
    "jacobian",
    "layerwise",
    "products",
  ]);
  for (const { flops, bytes, seconds } of routes)
    for (const figure of [flops, bytes, seconds]) expect(figure).toBeGreaterThan(0);
  expect(product.rates.flops).toBeGreaterThan(0);
  expect(product.class).toMatch(/^product/);
});

deviceTest("gram: --resume needs a file, and a route that goes tile by tile", async () => {
  folder.network("bad.json", SPEC);
  const job = "gram --network bad.json --inputs sphere:16:20:1 --resume";
  expect((await folder.ntk(job)).last).toMatch(/--resume is given without --out/);
  const { status, last } = await folder.ntk(`${job} --method jacobian --out R.npy`);
  expect(status).toBe(2);
  expect(last).toMatch(/only the layer-by-layer route goes on tile by tile/);
});
