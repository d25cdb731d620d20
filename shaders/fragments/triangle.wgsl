// triangle — four rows of a triangular system at a time, right-hand sides in four columns, in named registers.
//
//   lessOuter  s[i, j] −= a[i] · b[j]                          i < 4, j < 4
//   solved     x with Σ_k upper[k, i] · x[k, j] = s[i, j],     inverse[i] = 1 / upper[i, i]
//
// error one rounding a term; in `solved` one more, for the product by `inverse`
struct Rows {
  r0: vec4f,
  r1: vec4f,
  r2: vec4f,
  r3: vec4f,
}

fn lessOuter(s: ptr<function, Rows>, a: vec4f, b: vec4f) {
  (*s).r0 = fma(vec4f(-a.x), b, (*s).r0);
  (*s).r1 = fma(vec4f(-a.y), b, (*s).r1);
  (*s).r2 = fma(vec4f(-a.z), b, (*s).r2);
  (*s).r3 = fma(vec4f(-a.w), b, (*s).r3);
}

fn solved(upper: Rows, inverse: vec4f, s: Rows) -> Rows {
  let x0 = s.r0 * inverse.x;
  let x1 = fma(vec4f(-upper.r0.y), x0, s.r1) * inverse.y;
  let x2 = fma(vec4f(-upper.r1.z), x1, fma(vec4f(-upper.r0.z), x0, s.r2)) * inverse.z;
  let rest = fma(vec4f(-upper.r1.w), x1, fma(vec4f(-upper.r0.w), x0, s.r3));
  let x3 = fma(vec4f(-upper.r2.w), x2, rest) * inverse.w;
  return Rows(x0, x1, x2, x3);
}
