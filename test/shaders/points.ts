/** The f32 nearest to a value, and the ones next to it below and above. */
function neighbours(value: number): number[] {
  const f = Float32Array.of(value);
  const bits = new Int32Array(f.buffer);
  const nearest = f[0];
  bits[0] -= 1;
  const below = f[0];
  bits[0] += 2;
  return [nearest, below, f[0]];
}

/** Where one formula of transcendental.wgsl hands over to another, and values that come up often. */
const SPECIAL = [
  0.3125, 0.5, 0.625, 1, 2, 9, 10, 12, 13.2, 14, 20, 30, 43.65, 44.35, 87.3, 87.31, 87.4, 88, 88.7,
  100, 1000, 1e6, 1e10, 3e38, 1e-40, 1e-38, 1.2e-38, 0.7853981633974483, 1.5707963267948966,
  2.356194490192345, 3.141592653589793, 4.71238898038469, 0.751791524693564, 1.278464542761074,
];

/**
 * f32 pre-activations: 8192 even on [−12, 12], twice 4096 of even logarithms on 1e-30 … 1e4, both zeros, special
 * values ± 1 ulp with both signs; filled up to a multiple of 16.
 */
export function points(): Float32Array<ArrayBuffer> {
  const even = Array.from({ length: 8192 }, (_, i) => -12 + (24 * (i + 0.5)) / 8192);
  const spread = Array.from({ length: 4096 }, (_, i) => 10 ** (-30 + (34 * (i + 0.5)) / 4096));
  const special = SPECIAL.flatMap((value) => [value, -value]).flatMap(neighbours);
  const all = [...even, ...spread, ...spread.map((value) => -value), ...special, 0, -0];
  while (all.length % 16 > 0) all.push(0);
  return Float32Array.from(all);
}
