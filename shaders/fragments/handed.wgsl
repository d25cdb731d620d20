// handed — the rows of a tile that a subgroup's lanes load, four each, and hand to all lanes. Needs quad.wgsl.
//
//   addHanded  s[4 · lane + i, j] += a[i] of that lane · b[j]        lane < SUBGROUP, i < 4, j < 4
//   addRows    t[i, j] += s[i, j]
//
// Each value is handed on its own: SwiftShader takes 6 % longer where a vec4 is.
override SUBGROUP: u32 = 4u; // lanes that every subgroup surely has: 4 or 8

struct Rows {
  q0: Quad,
  q1: Quad,
  q2: Quad,
  q3: Quad,
  q4: Quad,
  q5: Quad,
  q6: Quad,
  q7: Quad,
}

fn addHanded(s: ptr<function, Rows>, a: vec4f, b: vec4f) {
  (*s).q0.r0 = fma(vec4f(subgroupBroadcast(a.x, 0u)), b, (*s).q0.r0);
  (*s).q0.r1 = fma(vec4f(subgroupBroadcast(a.y, 0u)), b, (*s).q0.r1);
  (*s).q0.r2 = fma(vec4f(subgroupBroadcast(a.z, 0u)), b, (*s).q0.r2);
  (*s).q0.r3 = fma(vec4f(subgroupBroadcast(a.w, 0u)), b, (*s).q0.r3);
  (*s).q1.r0 = fma(vec4f(subgroupBroadcast(a.x, 1u)), b, (*s).q1.r0);
  (*s).q1.r1 = fma(vec4f(subgroupBroadcast(a.y, 1u)), b, (*s).q1.r1);
  (*s).q1.r2 = fma(vec4f(subgroupBroadcast(a.z, 1u)), b, (*s).q1.r2);
  (*s).q1.r3 = fma(vec4f(subgroupBroadcast(a.w, 1u)), b, (*s).q1.r3);
  (*s).q2.r0 = fma(vec4f(subgroupBroadcast(a.x, 2u)), b, (*s).q2.r0);
  (*s).q2.r1 = fma(vec4f(subgroupBroadcast(a.y, 2u)), b, (*s).q2.r1);
  (*s).q2.r2 = fma(vec4f(subgroupBroadcast(a.z, 2u)), b, (*s).q2.r2);
  (*s).q2.r3 = fma(vec4f(subgroupBroadcast(a.w, 2u)), b, (*s).q2.r3);
  (*s).q3.r0 = fma(vec4f(subgroupBroadcast(a.x, 3u)), b, (*s).q3.r0);
  (*s).q3.r1 = fma(vec4f(subgroupBroadcast(a.y, 3u)), b, (*s).q3.r1);
  (*s).q3.r2 = fma(vec4f(subgroupBroadcast(a.z, 3u)), b, (*s).q3.r2);
  (*s).q3.r3 = fma(vec4f(subgroupBroadcast(a.w, 3u)), b, (*s).q3.r3);
  if SUBGROUP > 4u {
    (*s).q4.r0 = fma(vec4f(subgroupBroadcast(a.x, 4u)), b, (*s).q4.r0);
    (*s).q4.r1 = fma(vec4f(subgroupBroadcast(a.y, 4u)), b, (*s).q4.r1);
    (*s).q4.r2 = fma(vec4f(subgroupBroadcast(a.z, 4u)), b, (*s).q4.r2);
    (*s).q4.r3 = fma(vec4f(subgroupBroadcast(a.w, 4u)), b, (*s).q4.r3);
    (*s).q5.r0 = fma(vec4f(subgroupBroadcast(a.x, 5u)), b, (*s).q5.r0);
    (*s).q5.r1 = fma(vec4f(subgroupBroadcast(a.y, 5u)), b, (*s).q5.r1);
    (*s).q5.r2 = fma(vec4f(subgroupBroadcast(a.z, 5u)), b, (*s).q5.r2);
    (*s).q5.r3 = fma(vec4f(subgroupBroadcast(a.w, 5u)), b, (*s).q5.r3);
    (*s).q6.r0 = fma(vec4f(subgroupBroadcast(a.x, 6u)), b, (*s).q6.r0);
    (*s).q6.r1 = fma(vec4f(subgroupBroadcast(a.y, 6u)), b, (*s).q6.r1);
    (*s).q6.r2 = fma(vec4f(subgroupBroadcast(a.z, 6u)), b, (*s).q6.r2);
    (*s).q6.r3 = fma(vec4f(subgroupBroadcast(a.w, 6u)), b, (*s).q6.r3);
    (*s).q7.r0 = fma(vec4f(subgroupBroadcast(a.x, 7u)), b, (*s).q7.r0);
    (*s).q7.r1 = fma(vec4f(subgroupBroadcast(a.y, 7u)), b, (*s).q7.r1);
    (*s).q7.r2 = fma(vec4f(subgroupBroadcast(a.z, 7u)), b, (*s).q7.r2);
    (*s).q7.r3 = fma(vec4f(subgroupBroadcast(a.w, 7u)), b, (*s).q7.r3);
  }
}

fn addRows(t: ptr<function, Rows>, s: Rows) {
  addQuad(&(*t).q0, s.q0);
  addQuad(&(*t).q1, s.q1);
  addQuad(&(*t).q2, s.q2);
  addQuad(&(*t).q3, s.q3);
  addQuad(&(*t).q4, s.q4);
  addQuad(&(*t).q5, s.q5);
  addQuad(&(*t).q6, s.q6);
  addQuad(&(*t).q7, s.q7);
}
