import { expect, test } from "vitest";
import { withoutComments } from "../../esbuild.config.mjs";

test.each([
  ["let a = 1; // one\nlet b = 2;", "let a=1;let b=2;"],
  ["a /* x */ b", "a   b"],
  ["a/**/b", "a b"],
  ["a/* 1 /* 2 */ 3 */b", "a b"],
  ["a/*/ still open */b", "a b"],
  ["a/* // */b", "a b"],
  ["a/* //* */ */b", "a b"],
  ["a // /*\nb // */", "a\nb"],
  ["if (a < -b) {\n  f(a, b);\n}", "if(a < -b){f(a,b);}"],
  ["a / b * c", "a/b*c"],
  ["a - -b + c < d && e >= f", "a - -b+c<d&&e >=f"],
  ["fn f(a: f32) -> f32 { return a - b; }", "fn f(a:f32)->f32{return a-b;}"],
  ["a\r\n\n  b // c\u2028d", "a\nb\nd"],
  ["/* a\nb */fn f() {}", "fn f(){}"],
])("a release strips %j to %j", (wgsl, bare) => {
  expect(withoutComments(wgsl)).toBe(bare);
});

test("a block comment that is never closed is an error, not an empty shader", () => {
  expect(() => withoutComments("a /* /* */")).toThrow("1 block comment is still open");
});
