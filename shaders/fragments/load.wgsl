// load — where a matrix's values lie, and what its padding holds.
//
// A matrix [rows, columns] is stored as rows of vec4s, both axes rounded up to 16 values and the padding zero.
// A row is longer by 16 values where it would be a multiple of 256: such rows share cache lines.

// From the start of one row to the start of the next, in vec4s; `pitch` in src/gpu/matrix.ts is the same rule.
fn pitch4(columns: u32) -> u32 {
  let width = (columns + 15u) / 16u * 16u;
  return (width + 16u * u32(width % 256u == 0u)) / 4u;
}

fn padded(size: u32) -> u32 {
  return (size + 15u) / 16u * 16u;
}

// The value where the matrix [rows, columns] has an element, zero in its padding.
fn keep(row: u32, rows: u32, column4: u32, columns: u32, value: vec4f) -> vec4f {
  let inside = vec4u(4u * column4) + vec4u(0u, 1u, 2u, 3u) < vec4u(columns);
  return select(vec4f(), value, inside & vec4<bool>(row < rows));
}
