// hadamardPair — epilogue of the last part of a product of signals, in pairs that keep about 43 bits.
//
//   high + low += (c² (seenTop + seenRest) + β²)[⌊i / outputs⌋, ⌊j / outputs⌋] · (top + between + sum)[i, j]
//
// in    seenTop, seenRest  f32 [rowSamples, samples]   the two parts of A Aᵀ
//       top, between       f32 [rows, columns]         the first two parts of G Gᵀ; `sum` is the third
// out   high, low          f32 [rows, columns]
// dims  c² = scale + scaleLow, β² = shift + shiftLow
// error 2⁻⁴¹ · (c² |A Aᵀ| + β²) |G Gᵀ| and a rounding of between + sum beyond those of the parts; 2⁻⁴⁴ |high + low|.
//       Needs pair.wgsl, samples.wgsl.
@group(0) @binding(3) var<storage, read> seenTop: array<vec4f>;
@group(0) @binding(4) var<storage, read> seenRest: array<vec4f>;
@group(0) @binding(5) var<storage, read> top: array<vec4f>;
@group(0) @binding(6) var<storage, read> between: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> high: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> low: array<vec4f>;

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  let seen = seenBy(row, column4);
  let scaled = timesPairs(Pair(vec4f(dims.scale), vec4f(dims.scaleLow)), seen);
  let factor = sumPairs(scaled, Pair(vec4f(dims.shift), vec4f(dims.shiftLow)));
  let added = timesPairs(factor, twoSum(top[at], between[at] + sum));
  let n = sumPairs(Pair(high[at], low[at]), added);
  high[at] = keep(row, dims.rows, column4, dims.columns, n.high);
  low[at] = keep(row, dims.rows, column4, dims.columns, n.low);
}

// Both parts of A Aᵀ of four neighbours.
fn seenBy(row: u32, column4: u32) -> Pair {
  let start = row / dims.outputs * pitch4(dims.samples);
  let sample = sampleOf(column4);
  var a = vec4f();
  var b = vec4f();
  for (var c = 0u; c < 4u; c++) {
    let place = start + sample[c] / 4u;
    a[c] = seenTop[place][sample[c] % 4u];
    b[c] = seenRest[place][sample[c] % 4u];
  }
  return twoSum(a, b);
}
