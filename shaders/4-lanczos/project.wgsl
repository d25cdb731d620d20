// with fragments/load.wgsl
// project — inner products of the newest vector with vectors of the basis, in partial sums.
//
//   dots[c, j] = Σ_i  basis[j, i] · basis[step + 1, i]        256 c ≤ i < 256 (c + 1), first ≤ j ≤ last
//
// in    basis  f32 [vectors, n]
// out   dots   f32 [chunks, vectors], chunks = ⌈n / 256⌉
// grid  [⌈(last − first + 1) / 64⌉, chunks]; one lane one j of one chunk
// error |dots − exact| ≤ γ(67) · Σ_i |basis[j,i] · basis[step+1,i]|, u = 2⁻²³: four sums of 64, then one of four
// cost  2 · vectors · n flops, 4 · vectors · n bytes read
struct Dims {
  n: u32,
  vectors: u32,
  chunks: u32,
  step: u32,
  first: u32,
  last: u32,
}

@group(0) @binding(0) var<storage, read> basis: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> dots: array<f32>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn project(@builtin(global_invocation_id) id: vec3u) {
  let j = dims.first + id.x;
  if j > dims.last {
    return;
  }
  let pitch = pitch4(dims.n);
  let chunk = id.y;
  var sum = vec4f();
  for (var k = 0u; k < 64u; k++) {
    let column4 = 64u * chunk + k;
    if 4u * column4 >= dims.n {
      break;
    }
    sum = fma(basis[j * pitch + column4], basis[(dims.step + 1u) * pitch + column4], sum);
  }
  dots[chunk * 4u * pitch4(dims.vectors) + j] = (sum.x + sum.y) + (sum.z + sum.w);
}
