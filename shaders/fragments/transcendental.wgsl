// transcendental — exp, tanh, erfc, logarithm and sine of + − × ÷ alone.
//
// WGSL's own may be off by thousands of roundings and give NaN for large arguments; these are the same on every
// device, up to fused multiplications. Polynomials: weighted least maximum fits of degree 3 to 10, fit error ≤ 1.1e-8.

// e^x to 2 roundings where e^x is normal; 0 below −87.3, x capped at 88.7.
fn expOf(x: f32) -> f32 {
  let within = clamp(x, -87.3, 88.7);
  let k = round(1.4426950409 * within);
  let r = (within - 0.693359375 * k) + 2.1219444005e-4 * k;
  let p = 0.5 + r * (0.166665182 + r * (0.041666206 + r * (0.0083688898 + r * 0.00139504892)));
  let half = i32(k) / 2;
  let power = bitcast<f32>((half + 127) << 23u) * (1.0 + (r + r * r * p));
  return select(power * bitcast<f32>((i32(k) - half + 127) << 23u), 0.0, x < -87.3);
}

// 1 / (1 + e^−x), relatively accurate in both tails.
fn logistic(x: f32) -> f32 {
  let e = expOf(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

fn tanhOf(x: f32) -> f32 {
  let s = x * x;
  let p = -0.333332837 + s * (0.133314908 + s * (-0.0537434965 + s * (0.0206505787 - s * 0.00571703678)));
  let large = sign(x) * (1.0 - 2.0 / (1.0 + expOf(2.0 * min(abs(x), 20.0))));
  return select(large, x + x * (s * p), abs(x) < 0.625);
}

// e^(−factor · x²), factor a power of two: x² in two parts, the first exact, so that no rounding is multiplied by its size.
fn gaussian(factor: f32, x: f32) -> f32 {
  let size = min(abs(x), 30.0);
  let high = bitcast<f32>(bitcast<u32>(size) & 0xfffff000u);
  return expOf(-factor * high * high) * expOf(factor * (high - size) * (high + size));
}

// e^(x²) · erfc(x) for 0 ≤ x ≤ 10: (1 + 2x) times it is smooth in t = (x − 2) / (x + 2).
fn erfcScaled(x: f32) -> f32 {
  let t = (x - 2.0) / (x + 2.0);
  let low = 1.27697837 + t * (-0.0927638933 + t * (-0.166031301 + t * 0.164053082));
  let high = 0.00864074659 + t * (0.00127371913 + t * (-0.00125614996 + t * (-0.000365874032 + t * 2.67800333e-5)));
  let t4 = t * t * t * t;
  return (low + t4 * (-0.0542057939 + t * (-0.0080443779 + t * high))) / (1.0 + 2.0 * x);
}

fn erfOf(x: f32) -> f32 {
  let s = x * x;
  let low = -0.0268544443 + s * (0.00518953521 + s * (-0.000802084105 + s * 7.8891193e-5));
  let p = 0.128379166 + s * (-0.37612626 + s * (0.112836003 + s * low));
  let size = min(abs(x), 10.0);
  let large = sign(x) * (1.0 - gaussian(1.0, size) * erfcScaled(size));
  return select(large, x + x * p, abs(x) < 1.0);
}

// The standard normal's probability below x, relatively accurate in both tails.
fn normalBelow(x: f32) -> f32 {
  let size = min(abs(x), 14.0);
  let tail = 0.5 * gaussian(0.5, size) * erfcScaled(0.7071067812 * size);
  return select(tail, 1.0 - tail, x > 0.0);
}

// log(1 + t) for 0 ≤ t ≤ 1.
fn logOnePlus(t: f32) -> f32 {
  let s = t / (2.0 + t);
  let q = s * s;
  let p = 0.333332062 + q * (0.200108498 + q * (0.139995694 + q * 0.140122324));
  return 2.0 * (s + s * (q * p));
}

// sin(x + quarters · π/2); π/2 in four parts whose products with k are exact while |x| < 10⁵, beyond it a value in [−1, 1].
fn sinOf(x: f32, quarters: u32) -> f32 {
  let k = round(0.6366197724 * x);
  let rest = ((x - 1.5703125 * k) - 0.0004825592041015625 * k) - 1.26753002405e-6 * k - 6.0771005e-11 * k;
  let r = clamp(rest, -0.7854, 0.7854);
  let s = r * r;
  let sine = r + r * (s * (-0.166666552 + s * (0.00833217334 - s * 0.000195166547)));
  let cosine = 1.0 - 0.5 * s + s * s * (0.0416666456 + s * (-0.00138873619 + s * 2.44377279e-5));
  let quarter = (bitcast<u32>(i32(k)) + quarters) % 4u;
  let value = select(sine, cosine, quarter % 2u == 1u);
  return select(value, -value, quarter >= 2u);
}
