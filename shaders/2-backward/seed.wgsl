// with fragments/load.wgsl
// seed — the signals of the output layer, which is linear: ∂f_o / ∂z_h = 1 where h = o.
//
//   out[h, i · count + k] = 1 if h = first + k else 0        i < samples, k < count, h < outputs
//
// out   out  f32 [outputs, columns], columns = samples · count
// grid  [⌈padded(columns) / 4 / 64⌉, padded(outputs)]
// error exact
// cost  4 bytes a value written
struct Dims {
  outputs: u32,
  columns: u32,
  first: u32,
  count: u32,
}

@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<uniform> dims: Dims;

@compute @workgroup_size(64)
fn seed(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  let column4 = id.x;
  if 4u * column4 >= padded(dims.columns) {
    return;
  }
  let output = dims.first + (4u * vec4u(column4) + vec4u(0u, 1u, 2u, 3u)) % dims.count;
  let value = select(vec4f(), vec4f(1.0), output == vec4u(row));
  out[row * pitch4(dims.columns) + column4] = keep(row, dims.outputs, column4, dims.columns, value);
}
