// addPair — epilogue of a product: high[i, j] + low[i, j] += scale · sum, in two planes that are never added up.
//
//   n = fl(high + s)     low += (high − (n − (n − high))) + (s − (n − high))     high = n          s = scale · sum
//
// out   high, low   f32 [rows, columns]
// error one rounding for the scale unless it is a power of two; of the addition nothing where the adapter rounds to
//       nearest, as high's rounding is kept; one rounding of low
// from  Knuth's TwoSum; `sealed` keeps compilers from taking n − high for s, as Mesa does without it
@group(0) @binding(3) var<storage, read_write> high: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> low: array<vec4f>;

fn sealed(x: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) ^ vec4u(dims.zero));
}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let at = row * pitch4(dims.columns) + column4;
  let before = high[at];
  let s = dims.scale * sum;
  let n = sealed(before + s);
  let added = sealed(n - before);
  let lost = (before - sealed(n - added)) + (s - added);
  high[at] = keep(row, dims.rows, column4, dims.columns, n);
  low[at] = keep(row, dims.rows, column4, dims.columns, low[at] + lost);
}
