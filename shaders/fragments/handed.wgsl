// handed — the rows of a tile that a subgroup's lanes load, four each, and hand to all lanes. Needs quad.wgsl.
//
//   addHanded  s.q⟨r⟩[i, j] += a[i] of lane ^ r · b[j]        r < SUBGROUP, i < 4, j < 4
//   addRows    t[i, j] += s[i, j]
//
// Lanes swap what they have, each in another order: a swap is one instruction where a broadcast is ten on SwiftShader.
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
  addOuter(&(*s).q0, a, b);
  addOuter(&(*s).q1, quadSwapX(a), b);
  addOuter(&(*s).q2, quadSwapY(a), b);
  addOuter(&(*s).q3, quadSwapDiagonal(a), b);
  if SUBGROUP > 4u {
    let far = subgroupShuffleXor(a, 4u);
    addOuter(&(*s).q4, far, b);
    addOuter(&(*s).q5, quadSwapX(far), b);
    addOuter(&(*s).q6, quadSwapY(far), b);
    addOuter(&(*s).q7, quadSwapDiagonal(far), b);
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
