import { expect, test } from "vitest";
import { untar } from "../../src/node/untar.ts";

/** A ustar header and its blocks, as `tar` writes them. */
function entry(path: string, content: string, kind = "0", mode = "0000755"): Buffer {
  const header = Buffer.alloc(512);
  header.write(path, 0);
  header.write(mode, 100);
  header.write(content.length.toString(8).padStart(11, "0"), 124);
  header.write("        ", 148);
  header.write(kind, 156);
  header.write("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  body.write(content);
  return Buffer.concat([header, body]);
}

const END = Buffer.alloc(1024);

test("files come out with their bytes and whether they are programs, folders are passed over", () => {
  const archive = Buffer.concat([
    entry("lib/", "", "5"),
    entry("./lib/a", "x".repeat(513)),
    entry("b", "", "0", "0000644"),
    END,
  ]);
  const files = untar(archive);
  expect([...files.keys()]).toEqual(["lib/a", "b"]);
  expect(Buffer.from(files.get("lib/a")!.bytes).toString()).toBe("x".repeat(513));
  expect([...files.values()].map((file) => file.executable)).toEqual([true, false]);
});

const damaged = entry("a", "abc");
damaged[0] ^= 1;

test.each([
  ["a wrong checksum", Buffer.concat([damaged, END])],
  ["a file cut short", entry("a", "x".repeat(600)).subarray(0, 1024)],
  ["no end mark", entry("a", "abc")],
  ["nothing at all", Buffer.alloc(0)],
  ["a path that climbs out", Buffer.concat([entry("../a", "abc"), END])],
  ["a path that climbs out inside", Buffer.concat([entry("a/../../b", "abc"), END])],
  ["an absolute path", Buffer.concat([entry("/etc/a", "abc"), END])],
  ["a symbolic link", Buffer.concat([entry("a", "", "2"), END])],
])("an archive with %s is refused", (_, archive) => {
  expect(() => untar(archive)).toThrow(RangeError);
});
