// with fragments/load.wgsl
// scale — the newest vector to length 1; its length before is β.
//
//   tridiagonal[1, step] = √(Σ_c dots[c, step + 1])        basis[step + 1, i] /= that, or becomes 0 where it is 0
//
// in    dots         f32 [chunks, vectors]
// out   basis        f32 [vectors, n], row step + 1
//       tridiagonal  f32 [2, vectors], row 0 α, row 1 β
// grid  [⌈padded(n) / 4 / 64⌉]; one lane four columns
// error |β − exact| ≤ γ(chunks / 2 + 5) · β of the dots as given, none negative, u = 2⁻²³: a square root may be off by
//       5 ulp; the vector: 3 roundings more
// cost  8 n bytes
struct Dims {
  n: u32,
  vectors: u32,
  chunks: u32,
  step: u32,
}

@group(0) @binding(0) var<storage, read> dots: array<f32>;
@group(0) @binding(1) var<storage, read_write> basis: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> tridiagonal: array<f32>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn scale(@builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.n) {
    return;
  }
  var sum = 0.0;
  for (var c = 0u; c < dims.chunks; c++) {
    sum += dots[c * 4u * pitch4(dims.vectors) + dims.step + 1u];
  }
  let beta = sqrt(sum);
  let at = (dims.step + 1u) * pitch4(dims.n) + id.x;
  basis[at] = select(vec4f(), basis[at] / beta, beta > 0.0);
  if id.x == 0u {
    tridiagonal[4u * pitch4(dims.vectors) + dims.step] = beta;
  }
}
