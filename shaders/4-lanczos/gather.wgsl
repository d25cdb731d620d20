// with fragments/load.wgsl
// gather — the next vector of the basis, not yet orthogonal, from the partial sums of a product.
//
//   basis[step + 1, i] = scale · Σ_b partial[b, i]
//
// in    partial  f32 [blocks, n]
// out   basis    f32 [vectors, n], row step + 1
// grid  [⌈padded(n) / 4 / 64⌉]; one lane four columns
// error |out − exact| ≤ γ(blocks) · scale · Σ_b |partial[b, i]|, u = 2⁻²³; scale is a power of two
// cost  4 · blocks · n bytes read
struct Dims {
  n: u32,
  vectors: u32,
  blocks: u32,
  step: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> basis: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn gather(@builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.n) {
    return;
  }
  let pitch = pitch4(dims.n);
  var sum = vec4f();
  for (var b = 0u; b < dims.blocks; b++) {
    sum += partial[b * pitch + id.x];
  }
  let row = dims.step + 1u;
  basis[row * pitch + id.x] = keep(row, dims.vectors, id.x, dims.n, dims.scale * sum);
}
