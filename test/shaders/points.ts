/** The f32 numbers beside `value`: it, the next ones below and above. */
function neighbours(value: number): number[] {
  const f = Float32Array.of(value);
  const bits = new Int32Array(f.buffer);
  const around = [f[0]];
  if (f[0] === 0) return [0];
  for (const step of [-1, 2]) {
    bits[0] += step;
    around.push(f[0]);
  }
  return around;
}

/** Where a formula of transcendental.wgsl ends and another begins, and values that users are fond of. */
const SPECIAL = [
  0.625, 1, 0.3125, 0.5, 2, 9, 10, 12, 13.1, 14, 19.8, 20, 28.28, 30, 43.65, 44.35, 87.3, 88, 88.7,
  100, 1000, 0.7853981633974483, 1.5707963267948966, 2.356194490192345, 3.141592653589793,
  4.71238898038469,
];

/** f32 pre-activations: 8192 even on [−12, 12], 2·4096 with even logarithms on 1e-30 … 1e4, special ones; a multiple of 16. */
export function points(): Float32Array<ArrayBuffer> {
  const dense = Array.from({ length: 8192 }, (_, i) => -12 + (24 * (i + 0.5)) / 8192);
  const spread = Array.from({ length: 4096 }, (_, i) => 10 ** (-30 + (34 * (i + 0.5)) / 4096));
  const special = SPECIAL.flatMap((value) => [value, -value]).flatMap(neighbours);
  const all = [...dense, ...spread, ...spread.map((value) => -value), ...special, 0, -0];
  while (all.length % 16 > 0) all.push(0);
  return Float32Array.from(all);
}
