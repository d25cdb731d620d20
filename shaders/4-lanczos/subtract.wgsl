// with fragments/load.wgsl
// subtract — takes the components along the basis out of the newest vector.
//
//   basis[step + 1, i] −= Σ_j  weights[0, j] · basis[j, i]        j ≤ step
//
// in    weights  f32 [1, vectors]
// out   basis    f32 [vectors, n], row step + 1
// grid  [⌈padded(n) / 4 / 16⌉]; one lane four columns
// error γ(k) · Σ_j |weights[j] · basis[j,i]| and one rounding, k = 64 + ⌈(step + 1) / 64⌉, u = 2⁻²³
// cost  2 · (step + 1) · n flops, 4 · (step + 1) · n bytes read
struct Dims {
  n: u32,
  vectors: u32,
  step: u32,
}

@group(0) @binding(0) var<storage, read> weights: array<f32>;
@group(0) @binding(1) var<storage, read_write> basis: array<vec4f>;
@group(0) @binding(2) var<uniform> dims: Dims;

@compute @workgroup_size(16)
fn subtract(@builtin(global_invocation_id) id: vec3u) {
  if 4u * id.x >= padded(dims.n) {
    return;
  }
  let pitch = pitch4(dims.n);
  var total = vec4f();
  let blocks = dims.step / 64u + 1u;
  for (var block = 0u; block < blocks; block++) {
    var sum = vec4f();
    for (var k = 0u; k < 64u; k++) {
      let j = 64u * block + k;
      if j > dims.step {
        break;
      }
      sum = fma(vec4f(weights[j]), basis[j * pitch + id.x], sum);
    }
    total += sum;
  }
  basis[(dims.step + 1u) * pitch + id.x] -= total;
}
