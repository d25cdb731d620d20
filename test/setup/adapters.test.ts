import { expect, test } from "vitest";
import { adapters, findAdapter, matchesAdapter } from "../../src/node/adapters.ts";

const found = await adapters();

test("this machine has an adapter", () => {
  expect(found).not.toHaveLength(0);
});

test("adapters are listed with what each is: a GPU first, then the system's software, then the embedded one", () => {
  const order = ["gpu", "system-software", "embedded"];
  const kinds = found.map(({ kind }) => order.indexOf(kind));
  expect(kinds).toEqual([...kinds].sort((a, b) => a - b));
  expect(kinds).not.toContain(-1);
  expect(found.map((info) => info.default)).toEqual(found.map((_, i) => i === 0));
  expect(new Set(found.map(({ name }) => name)).size).toBe(found.length);
  for (const info of found) {
    expect(Object.keys(info).sort()).toEqual(
      ["default", "description", "driver", "kind", "name", "vendor"].sort(),
    );
    expect(info.description).toContain(info.name);
    expect(info.description).toContain(info.driver);
  }
});

test("each adapter opens by its name, in any case, and is the one that was asked for", async () => {
  for (const info of found) {
    const opened = await findAdapter(info.name.toUpperCase());
    expect(opened.info).toEqual(info);
    expect(opened.adapter.info.description).toBe(info.driver);
  }
});

test("each kind opens its first adapter", async () => {
  for (const kind of new Set(found.map((info) => info.kind)))
    expect((await findAdapter(kind)).info).toEqual(found.find((info) => info.kind === kind));
});

test("words of the driver find an adapter too", async () => {
  for (const { driver } of found.filter((info) => info.driver))
    expect((await findAdapter(driver)).info.driver).toBe(driver);
});

test("nothing asked for opens the default, an empty text is nothing", async () => {
  expect((await findAdapter("")).info).toEqual(found[0]);
  expect((await findAdapter(" ")).info.default).toBe(true);
});

test("an adapter that is not there is an error that lists what is", async () => {
  const error = await findAdapter("no such adapter").catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: "GpuError", code: "adapter" });
  for (const { name } of found) expect((error as Error).message).toContain(name);
});

test("lavapipe is what calls itself llvmpipe", () => {
  const llvmpipe = { name: "llvmpipe (LLVM 15.0.6, 256 bits)", kind: "system-software" } as const;
  for (const text of ["lavapipe", "LavaPipe", "LLVMpipe", "llvm 15", "software"])
    expect(matchesAdapter(text, llvmpipe), text).toBe(true);
  for (const text of ["SwiftShader", "embedded", "lava"])
    expect(matchesAdapter(text, llvmpipe), text).toBe(false);
});
