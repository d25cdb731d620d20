// with fragments/load.wgsl
// collapse — inner products from their partial sums; the one with the newest vector's own predecessor is α.
//
//   weights[0, j] = Σ_c dots[c, j]        j ≤ step
//   tridiagonal[0, step] = or += weights[0, step], the first pass or the second
//
// in    dots         f32 [chunks, vectors]
// out   weights      f32 [1, vectors]
//       tridiagonal  f32 [2, vectors], row 0 α, row 1 β
// grid  [⌈(step + 1) / 64⌉]; one lane one j
// error |weights − exact| ≤ γ(chunks) · Σ_c |dots[c, j]|, u = 2⁻²³
// cost  4 · chunks · (step + 1) bytes read
struct Dims {
  vectors: u32,
  chunks: u32,
  step: u32,
  round: u32,
}

@group(0) @binding(0) var<storage, read> dots: array<f32>;
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;
@group(0) @binding(2) var<storage, read_write> tridiagonal: array<f32>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn collapse(@builtin(global_invocation_id) id: vec3u) {
  let j = id.x;
  if j > dims.step {
    return;
  }
  var sum = 0.0;
  for (var c = 0u; c < dims.chunks; c++) {
    sum += dots[c * 4u * pitch4(dims.vectors) + j];
  }
  weights[j] = sum;
  if j == dims.step {
    tridiagonal[j] = select(sum, tridiagonal[j] + sum, dims.round > 0u);
  }
}
