import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { TiledNpy } from "../../src/formats/tiled.ts";
import { parseNpy } from "../reference/npy.ts";

const folder = mkdtempSync(join(tmpdir(), "webgpu-ntk-tiled-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = { shape: [2, 3], rows: 2, columns: 3, job: ["a job"], resume: true };
const block = (row: number, column: number, ...values: number[]) => [
  { row, column, rows: 1, columns: values.length, values: Float32Array.from(values) },
];

test("TiledNpy: a torn line is not joined with the next one", async () => {
  const path = join(folder, "torn.npy");
  const first = await TiledNpy.open(path, file);
  await first.write(0, block(0, 0, 1, 2));
  await first.abandon();
  appendFileSync(`${path}.finished`, "1");
  const second = await TiledNpy.open(path, file);
  await second.write(2, block(1, 0, 4, 5, 6));
  await second.abandon();
  const third = await TiledNpy.open(path, file);
  expect([0, 1, 2, 12].filter((index) => third.has(index))).toEqual([0, 2]);
  await third.write(1, block(0, 2, 3));
  await third.finish();
  const { shape, data } = parseNpy(readFileSync(path));
  expect([shape, Array.from(data)]).toEqual([
    [2, 3],
    [1, 2, 3, 4, 5, 6],
  ]);
  expect(existsSync(`${path}.partial`) || existsSync(`${path}.finished`)).toBe(false);
});

test("TiledNpy: a list whose blocks are gone counts for nothing, and one of another job is refused", async () => {
  const path = join(folder, "gone.npy");
  const first = await TiledNpy.open(path, file);
  await first.write(0, block(0, 0, 1, 2));
  await first.abandon();
  await expect(TiledNpy.open(path, { ...file, job: ["another"] })).rejects.toThrow(/another job/);
  rmSync(`${path}.partial`);
  const second = await TiledNpy.open(path, file);
  expect(second.has(0)).toBe(false);
  await second.abandon();
});
