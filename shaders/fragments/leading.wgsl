// leading — the part of a product Xᵀ X that `deflate` took out of X, for the product's epilogues.
//
//   beginLeading(column4); withLeading(row, sum) = (Qᵀ Q, Qᵀ Y + Yᵀ Q + sum)[row, four columns]       by four directions
//
// in    leading  f32 [n, 8]   Qᵀ and Yᵀ as deflate.wgsl makes them
// error of the first part none; the second γ(9) · (|Q|ᵀ |Y| + |Y|ᵀ |Q| + |sum|) beyond the sum's.
//       Needs pair.wgsl, and everyLane.wgsl or oneLane.wgsl where all lanes of a subgroup ask for the same rows.
@group(0) @binding(3) var<storage, read> leading: array<vec4f>;

// What four columns have of it: the classes ask for many rows of the same columns.
var<private> q: mat4x4f;
var<private> y: mat4x4f;

fn beginLeading(column4: u32) {
  let pitch = pitch4(8u);
  for (var c = 0u; c < 4u; c++) {
    q[c] = leading[(4u * column4 + c) * pitch];
    y[c] = leading[(4u * column4 + c) * pitch + 1u];
  }
}

fn withLeading(row: u32, sum: vec4f) -> Pair {
  let pitch = pitch4(8u);
  var p = vec4f();
  var r = vec4f();
  if elected() {
    p = leading[row * pitch];
    r = leading[row * pitch + 1u];
  }
  p = ofElected(p);
  return Pair(p * q, (p * y + ofElected(r) * q) + sum);
}
