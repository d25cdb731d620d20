// fewBits — columns of a 4 × 4 matrix with so few bits that products of two of them are exact.
//
//   q = x rounded to 10 bits on one grid for all of a column: 2^(1 + exponent of the column's largest − 10)
//
// error half a grid; a column is 0 where its grid would not be of normal numbers
const BITS = 10u;

fn leadingBits(x: mat4x4f) -> mat4x4f {
  var q = mat4x4f();
  for (var j = 0u; j < 4u; j++) {
    let size = abs(x[j]);
    let exponent = (bitcast<u32>(max(max(size.x, size.y), max(size.z, size.w))) >> 23u) + 1u;
    if exponent > BITS && exponent < 255u {
      let grid = bitcast<f32>((exponent - BITS) << 23u);
      // By way of integers: what is left of an addition of 1.5 · 2²³ a compiler may take for nothing.
      q[j] = vec4f(vec4i(round(x[j] / grid))) * grid;
    }
  }
  return q;
}
