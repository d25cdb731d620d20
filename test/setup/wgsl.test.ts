import { expect, test } from "vitest";
import { withoutComments, withShortNames } from "../../esbuild.config.mjs";

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
  ["a - -b + c < d && e >= f", "a - -b+c<d&&e>=f"],
  ["fn f(a: f32) -> f32 { return a - b; }", "fn f(a:f32)->f32{return a-b;}"],
  ["a\r\n\n  b // c\u2028d", "a\nb\nd"],
  ["if a >= 4u { b = c[2u] << 3u; }", "if a>=4{b=c[2]<<3;}"],
  ["/* a\nb */fn f() {}", "fn f(){}"],
  ["override A: u32 = 16u;\nvar k = 4u * (a + 2u) - 0u;", "override A:u32=16;var k=4*(a+2)-0;"],
  ["case 0u: { f(1u << b, 10.0 * x + 0.5 - 0.0, 3u); }", "case 0:{f(1u<<b,10.*x+.5-.0,3);}"],
])("a release strips %j to %j", (wgsl, bare) => {
  expect(withoutComments(wgsl)).toBe(bare);
});

test("a block comment that is never closed is an error, not an empty shader", () => {
  expect(() => withoutComments("a /* /* */")).toThrow("1 block comment is still open");
});

test("short names are a function's own and dims: members, swizzles, other files' names and entry points stay", () => {
  const wgsl =
    "struct Dims{rows:u32,}const SIZE=4u;fn add(first:u32,k:u32)->u32{let rows=first+dims.rows;var xyz=v.xyz;return other(rows,xyz.x,SIZE);}" +
    "@compute @workgroup_size(SIZE)\nfn main(@builtin(global_invocation_id)id:vec3u){for(var index=0u;index<id.x;index++){add(index,k);}}";
  expect(withShortNames(wgsl)).toBe(
    `struct Dims{rows:u32,}const SIZE=4u;fn add(a:u32,k:u32)->u32{let b=a+${withShortNames("dims")}.rows;var c=v.xyz;return other(b,c.x,SIZE);}` +
      "@compute @workgroup_size(SIZE)\nfn main(@builtin(global_invocation_id)a:vec3u){for(var b=0u;b<a.x;b++){add(b,k);}}",
  );
});
