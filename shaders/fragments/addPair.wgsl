// addPair — epilogue of a product: high[i, j] + low[i, j] += scale · sum, in two planes that are never added up.
//
// out   high, low   f32 [rows, columns]
// dims  the scale is scale + scaleLow
// error 2⁻⁴³ |scale · sum| + 2⁻⁴⁴ |high + low|. Needs pair.wgsl.
@group(0) @binding(3) var<storage, read_write> high: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> low: array<vec4f>;

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  let added = timesPairs(Pair(vec4f(dims.scale), vec4f(dims.scaleLow)), Pair(sum, vec4f()));
  let n = sumPairs(Pair(high[at], low[at]), added);
  high[at] = keep(row, dims.rows, column4, dims.columns, n.high);
  low[at] = keep(row, dims.rows, column4, dims.columns, n.low);
}
