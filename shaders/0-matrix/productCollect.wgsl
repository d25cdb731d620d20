// with fragments/load.wgsl, fragments/buffers.wgsl, fragments/operands.wgsl, fragments/store.wgsl
// productCollect — the second pass of a product whose summed axis was cut: the slabs' sums, added in their order.
//
//   sum[i, j] = Σ_s  left[s · padded(rows) + i, j]          s < slabs, i < rows, j < columns
//
// in    left    f32 [depth, columns]    depth = slabs · padded(rows), from partial.wgsl
//       right   the same again, not read
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  [⌈padded(columns) / 4 / 16⌉, padded(rows)]; one lane four columns
// error |sum − exact| ≤ γ(slabs − 1) · Σ_s |left[s, i, j]|, u = 2⁻²³
// cost  4 · slabs bytes read a value
@compute @workgroup_size(16)
fn productCollect(@builtin(workgroup_id) group: vec3u, @builtin(global_invocation_id) id: vec3u) {
  if dims.triangle == 1u && 4u * id.x > group.y {
    return;
  }
  let rows = padded(dims.rows);
  let pitch = pitch4(dims.columns);
  var sum = vec4f();
  for (var at = group.y; at < dims.depth; at += rows) {
    sum += left[at * pitch + id.x];
  }
  begin(id.x);
  hand(0u, group.y, id.x, sum);
}
