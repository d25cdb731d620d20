// hadamardPair — epilogue of a product Bᵀ B of signals, in pairs; G is B with what deflate.wgsl took out of it.
//
//   high + low += (c² Aᵀ A + β²)[⌊i / outputs⌋, ⌊j / outputs⌋] · (Gᵀ G)[i, j]        Aᵀ A = Qᵀ Q + Qᵀ Y + Yᵀ Q + seen
//
// in    leadingSeen  f32 [samples, 8]            Qᵀ and Yᵀ of the activations, as deflate.wgsl makes them
//       seen         f32 [rowSamples, samples]   Bᵀ B of the activations
// out   high, low    f32 [rows, columns]
// dims  c² = scale + scaleLow, β² = shift + shiftLow
// error that of leading.wgsl for both products, each times the other factor; 2⁻²⁸ (c² |Aᵀ A| + β²) |Gᵀ G|
//       Needs leading.wgsl and what that needs, samples.wgsl.
@group(0) @binding(4) var<storage, read> leadingSeen: array<vec4f>;
@group(0) @binding(5) var<storage, read> seen: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> high: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> low: array<vec4f>;

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  let parts = withLeading(row, sum);
  let scaled = timesPairs(seenBy(row, column4), Pair(vec4f(dims.scale), vec4f(dims.scaleLow)));
  let factor = sumPairs(Pair(vec4f(dims.shift), vec4f(dims.shiftLow)), scaled);
  let n = sumPairs(Pair(high[at], low[at]), timesPairs(factor, twoSum(parts.high, parts.low)));
  high[at] = keep(row, dims.rows, column4, dims.columns, n.high);
  low[at] = keep(row, dims.rows, column4, dims.columns, n.low);
}

var<private> seenQ: mat4x4f;
var<private> seenY: mat4x4f;

// With one output a column is a sample.
fn begin(column4: u32) {
  beginLeading(column4);
  let pitch = pitch4(8u);
  let sample = sampleOf(column4);
  for (var c = 0u; c < 4u; c++) {
    seenQ[c] = leadingSeen[sample[c] * pitch];
    seenY[c] = leadingSeen[sample[c] * pitch + 1u];
  }
}

// Aᵀ A of four neighbours.
fn seenBy(row: u32, column4: u32) -> Pair {
  let pitch = pitch4(8u);
  let sample = sampleOf(column4);
  let own = row / dims.outputs;
  let start = own * pitch4(dims.samples);
  var rest = seen[start + sample.x / 4u];
  if dims.outputs > 1u {
    for (var c = 0u; c < 4u; c++) {
      rest[c] = seen[start + sample[c] / 4u][sample[c] % 4u];
    }
  }
  var p = vec4f();
  var r = vec4f();
  if elected() {
    p = leadingSeen[own * pitch];
    r = leadingSeen[own * pitch + 1u];
  }
  p = ofElected(p);
  return twoSum(p * seenQ, (p * seenY + ofElected(r) * seenQ) + rest);
}
