// with fragments/load.wgsl
// gather — the next vector of the basis, not yet orthogonal, from the partial sums of a product.
//
//   basis[step + 1, i] = scale · Σ_b partial[b, i]        ⌊i / 64⌋ ≤ b < blocks + lanes · (⌊i / 1024⌋ + 1)
//
// in    partial  f32 [parts, n] as multiply.wgsl leaves it
// out   basis    f32 [vectors, n], row step + 1
// grid  [⌈padded(n) / 4 / 16⌉]; one lane four columns
// error |out − exact| ≤ γ(64 + ⌈parts / 64⌉) · scale · Σ_b |partial[b, i]|, u = 2⁻²³; scale is a power of two
// cost  2 · (parts + lanes) · n bytes read
struct Dims {
  n: u32,
  vectors: u32,
  blocks: u32,
  parts: u32,
  lanes: u32,
  step: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> partial: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> basis: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(16)
fn gather(@builtin(workgroup_id) group: vec3u, @builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.n) {
    return;
  }
  let pitch = pitch4(dims.n);
  let first = group.x;
  let count = dims.blocks + dims.lanes * (group.x / 16u + 1u) - first;
  var total = vec4f();
  for (var block = 0u; 64u * block < count; block++) {
    var sum = vec4f();
    for (var k = 0u; k < 64u; k++) {
      let b = 64u * block + k;
      if b >= count {
        break;
      }
      sum += partial[(first + b) * pitch + id.x];
    }
    total += sum;
  }
  let row = dims.step + 1u;
  basis[row * pitch + id.x] = keep(row, dims.vectors, id.x, dims.n, dims.scale * total);
}
