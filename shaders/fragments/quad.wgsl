// quad — four rows of four columns in named registers, as the product's classes add them up. Needs operands.wgsl.
//
//   addOuter  s[i, j] += a[i] · b[j]        i < 4, j < 4
//   addQuad   t[i, j] += s[i, j]
struct Quad {
  r0: vec4f,
  r1: vec4f,
  r2: vec4f,
  r3: vec4f,
}

fn addOuter(s: ptr<function, Quad>, a: vec4f, b: vec4f) {
  (*s).r0 = fma(vec4f(a.x), b, (*s).r0);
  (*s).r1 = fma(vec4f(a.y), b, (*s).r1);
  (*s).r2 = fma(vec4f(a.z), b, (*s).r2);
  (*s).r3 = fma(vec4f(a.w), b, (*s).r3);
}

fn addQuad(t: ptr<function, Quad>, s: Quad) {
  (*t).r0 += s.r0;
  (*t).r1 += s.r1;
  (*t).r2 += s.r2;
  (*t).r3 += s.r3;
}

// Call it in a loop: copies of an epilogue with φ in it would take seconds to compile.
fn handQuad(slab: u32, row: u32, column4: u32, sum: Quad) {
  var rows = array<vec4f, 4>(sum.r0, sum.r1, sum.r2, sum.r3);
  for (var i = 0u; i < 4u; i++) {
    hand(slab, row + i, column4, rows[i]);
  }
}
