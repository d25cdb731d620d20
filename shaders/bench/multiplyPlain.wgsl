// with fragments/load.wgsl
// multiplyPlain — a symmetric matrix times one vector, in partial sums, both triangles read: what multiply is held against.
//
//   partial[b, i] = Σ_j  matrix[j, i] · basis[step, j]        64 b ≤ j < 64 (b + 1)
//
// in    matrix   f32 [n, n] symmetric, so that column i can be read as row j runs
//       basis    f32 [vectors, n]
// out   partial  f32 [blocks, n], blocks = ⌈n / 64⌉
// grid  [⌈padded(n) / 4 / 16⌉, blocks]; one lane four columns of one block
// error |partial − exact| ≤ γ(65) · Σ_j |matrix[j,i] · basis[step,j]|, u = 2⁻²³
// cost  2 n² flops, 4 n² bytes read
struct Dims {
  n: u32,
  vectors: u32,
  blocks: u32,
  step: u32,
}

@group(0) @binding(0) var<storage, read> matrix: array<vec4f>;
@group(0) @binding(1) var<storage, read> basis: array<f32>;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

@compute @workgroup_size(16)
fn multiplyPlain(@builtin(workgroup_id) group: vec3u, @builtin(global_invocation_id) id: vec3u) {
  let column4 = id.x;
  if 4u * column4 >= padded(dims.n) {
    return;
  }
  let pitch = pitch4(dims.n);
  let block = group.y;
  var sum = vec4f();
  for (var k = 0u; k < 64u; k++) {
    let j = 64u * block + k;
    if j >= dims.n {
      break;
    }
    sum = fma(vec4f(basis[dims.step * 4u * pitch + j]), matrix[j * pitch + column4], sum);
  }
  partial[block * pitch + column4] = keep(block, dims.blocks, column4, dims.n, sum);
}
