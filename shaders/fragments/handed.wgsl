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
  addOuter(&(*s).q0, vec4f(subgroupBroadcast(a.x, 0u), subgroupBroadcast(a.y, 0u), subgroupBroadcast(a.z, 0u),
    subgroupBroadcast(a.w, 0u)), b);
  addOuter(&(*s).q1, vec4f(subgroupBroadcast(a.x, 1u), subgroupBroadcast(a.y, 1u), subgroupBroadcast(a.z, 1u),
    subgroupBroadcast(a.w, 1u)), b);
  addOuter(&(*s).q2, vec4f(subgroupBroadcast(a.x, 2u), subgroupBroadcast(a.y, 2u), subgroupBroadcast(a.z, 2u),
    subgroupBroadcast(a.w, 2u)), b);
  addOuter(&(*s).q3, vec4f(subgroupBroadcast(a.x, 3u), subgroupBroadcast(a.y, 3u), subgroupBroadcast(a.z, 3u),
    subgroupBroadcast(a.w, 3u)), b);
  if SUBGROUP > 4u {
    addOuter(&(*s).q4, vec4f(subgroupBroadcast(a.x, 4u), subgroupBroadcast(a.y, 4u), subgroupBroadcast(a.z, 4u),
      subgroupBroadcast(a.w, 4u)), b);
    addOuter(&(*s).q5, vec4f(subgroupBroadcast(a.x, 5u), subgroupBroadcast(a.y, 5u), subgroupBroadcast(a.z, 5u),
      subgroupBroadcast(a.w, 5u)), b);
    addOuter(&(*s).q6, vec4f(subgroupBroadcast(a.x, 6u), subgroupBroadcast(a.y, 6u), subgroupBroadcast(a.z, 6u),
      subgroupBroadcast(a.w, 6u)), b);
    addOuter(&(*s).q7, vec4f(subgroupBroadcast(a.x, 7u), subgroupBroadcast(a.y, 7u), subgroupBroadcast(a.z, 7u),
      subgroupBroadcast(a.w, 7u)), b);
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
