// pair — arithmetic on pairs of f32: high + low, never added up, low at most half a unit in high's last place.
//
//   twoSum      a + b exactly (Knuth)                  twoProduct  a · b exactly, by halves of 12 bits
//   sumPairs    (a + b) (1 + ε), |ε| ≤ 2⁻⁴⁴             timesPairs  (a · b) (1 + ε), |ε| ≤ 2⁻⁴³
//
// error the exact ones where the adapter rounds to nearest and nothing underflows; `sealed` keeps compilers from
//       simplifying n − (n − a), as Mesa does without it; the halves are cut by bits, as fma need not be fused.
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

// Where |a| ≥ |b|.
fn quickSum(a: vec4f, b: vec4f) -> Pair {
  let n = sealed(a + b);
  return Pair(n, b - sealed(n - a));
}

fn upperHalf(x: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) & vec4u(0xfffff000u));
}

fn twoProduct(a: vec4f, b: vec4f) -> Pair {
  let a1 = upperHalf(a);
  let b1 = upperHalf(b);
  let a2 = sealed(a - a1);
  let b2 = sealed(b - b1);
  let n = sealed(a * b);
  return Pair(n, ((sealed(a1 * b1) - n) + sealed(a1 * b2) + sealed(a2 * b1)) + a2 * b2);
}

fn sumPairs(a: Pair, b: Pair) -> Pair {
  let s = twoSum(a.high, b.high);
  let t = twoSum(a.low, b.low);
  let u = quickSum(s.high, s.low + t.high);
  return quickSum(u.high, u.low + t.low);
}

fn timesPairs(a: Pair, b: Pair) -> Pair {
  let p = twoProduct(a.high, b.high);
  return quickSum(p.high, p.low + (a.high * b.low + a.low * b.high));
}
