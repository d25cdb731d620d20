// pair — arithmetic on pairs of f32 that are never added up: high, and low for what high lacks.
//
//   twoSum     a + b exactly (Knuth)
//   sumPairs   a + b, error ≤ 2⁻²² · (|a.low| + |b.low|); low at most half a unit in high's last place
//   timesPairs (a · b) (1 + ε), |ε| ≤ 2⁻³⁰ for such a and b; high exact, |low| ≤ 2⁻¹⁰ |high|
//
// error where the adapter rounds to nearest and nothing underflows; `sealed` keeps compilers from simplifying n − (n − a),
//       as Mesa does without it; upper halves are cut by bits, as fma need not be fused.
//       Needs `dims.zero`, a 0 that no compiler knows.
struct Pair {
  high: vec4f,
  low: vec4f,
}

fn sealed(x: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) ^ vec4u(dims.zero));
}

fn twoSum(a: vec4f, b: vec4f) -> Pair {
  let n = sealed(a + b);
  let added = sealed(n - a);
  return Pair(n, (a - sealed(n - added)) + (b - added));
}

fn sumPairs(a: Pair, b: Pair) -> Pair {
  let s = twoSum(a.high, b.high);
  let low = s.low + (a.low + b.low);
  let n = sealed(s.high + low);
  return Pair(n, low - sealed(n - s.high));
}

// The first 12 bits, so that a product of two of them is exact.
fn upperHalf(x: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) & vec4u(0xfffff000u));
}

fn timesPairs(a: Pair, b: Pair) -> Pair {
  let a1 = upperHalf(a.high);
  let b1 = upperHalf(b.high);
  let a2 = sealed(a.high - a1) + a.low;
  let b2 = sealed(b.high - b1) + b.low;
  return Pair(a1 * b1, a1 * b2 + a2 * b.high);
}
