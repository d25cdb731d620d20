import { expect, test } from "vitest";
import type { BenchResult } from "../../bench/results.ts";
import { expectShape } from "../bench/shape.ts";
import { openPage } from "./chromium.ts";

const built = new URL("../../dist/bench.html", import.meta.url);

test("the bench's page measures in a real Chromium what it is asked for, and hands the result out", async () => {
  const { page, browser, close } = await openPage({ "/": built });
  const complaints: string[] = [];
  page.on("pageerror", ({ message }) => complaints.push(message));
  page.on("request", (request) => {
    if (!/^(blob|data):/.test(request.url())) complaints.push(`asks for ${request.url()}`);
  });
  try {
    await page.waitForSelector("#start:enabled");
    await page.fill("#names", "collapse, jjt store n=256 k=512");
    await page.click("#start");
    await page.waitForSelector("#json:visible, #status.bad", { timeout: 100_000 });
    expect(await page.textContent("#status")).toMatch(/^Done: 2 rows/);
    expect(await page.locator("#rows tr").count()).toBe(2);
    const result = (await page.evaluate(
      "fetch(document.querySelector('#json').href).then((answer) => answer.json())",
    )) as BenchResult;
    expectShape(result);
    expect(result.rows.map(({ name }) => name)).toEqual(["product jjt store", "collapse"]);
    console.log(`${browser}, ${result.adapter.description}`);

    await page.fill("#names", "no such row");
    await page.click("#start");
    await page.waitForSelector("#status.bad");
    expect(await page.textContent("#status")).toBe('No row is called "no such row".');
    expect(complaints).toEqual([]);
  } finally {
    await close();
  }
});
