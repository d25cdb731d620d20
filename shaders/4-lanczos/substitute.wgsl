// with fragments/load.wgsl, fragments/triangle.wgsl
// substitute — a triangular system for many right-hand sides at once: rows of a factor, or of a solution.
//
//   Σ_k corner[cornerRow + k, cornerColumn + i] · out[first + k, j] = block[i, j]     k ≤ i < rows, columnFrom ≤ j < columns
//
// in    corner  f32 [cornerRows, cornerColumns]  upper triangular from (cornerRow, cornerColumn) on, multiples of 4
//       block   f32 [rows, columns]
// out   out     f32 [outRows, columns], rows from `first` on, columns from `columnFrom` on, multiples of 16
// grid  [⌈(padded(columns) − columnFrom) / 8 / LANES⌉]; one lane eight columns, eight rows at a time
// error |Σ_k corner[k,i] · out[k,j] − block[i,j]| ≤ γ(rows + 4) · Σ_k |corner[k,i] · out[k,j]|, u = 2⁻²³: a term a row
//       before, the division as a product by the inverse of 2.5 ulp
// cost  rows² · columns flops, 12 · rows · columns bytes
// from  Higham 2002, theorem 8.5
struct Dims {
  cornerRows: u32,
  cornerColumns: u32,
  cornerRow: u32,
  cornerColumn: u32,
  outRows: u32,
  columns: u32,
  first: u32,
  columnFrom: u32,
  rows: u32,
}

@group(0) @binding(0) var<storage, read> corner: array<vec4f>;
@group(0) @binding(1) var<storage, read> block: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> dims: Dims;

const BLOCK = 64u;

override LANES: u32 = 8u;

// Four rows of eight columns.
struct Wide {
  left: Rows,
  right: Rows,
}

@compute @workgroup_size(LANES)
fn substitute(@builtin(global_invocation_id) id: vec3u) {
  let own = dims.columnFrom / 4u + 2u * id.x;
  if 4u * own >= padded(dims.columns) {
    return;
  }
  let pitch = pitch4(dims.columns);
  let cornerPitch = pitch4(dims.cornerColumns);
  let start = dims.first * pitch + own;
  for (var step = 0u; step < BLOCK / 8u; step++) {
    let row = 8u * step;
    if row >= padded(dims.rows) {
      break;
    }
    var s = Wide(rowsOf(row, own), rowsOf(row, own + 1u));
    var t = Wide(rowsOf(row + 4u, own), rowsOf(row + 4u, own + 1u));
    let corner4 = dims.cornerRow * cornerPitch + (dims.cornerColumn + row) / 4u;
    for (var k = 0u; k < BLOCK; k++) {
      if k >= row {
        break;
      }
      let x = out[start + k * pitch];
      let y = out[start + k * pitch + 1u];
      less(&s, corner[corner4 + k * cornerPitch], x, y);
      less(&t, corner[corner4 + k * cornerPitch + 1u], x, y);
    }
    let a = corner4 + row * cornerPitch;
    let x = solvedAt(a, row, s);
    less(&t, corner[a + 1u], x.left.r0, x.right.r0);
    less(&t, corner[a + cornerPitch + 1u], x.left.r1, x.right.r1);
    less(&t, corner[a + 2u * cornerPitch + 1u], x.left.r2, x.right.r2);
    less(&t, corner[a + 3u * cornerPitch + 1u], x.left.r3, x.right.r3);
    let y = solvedAt(a + 4u * cornerPitch + 1u, row + 4u, t);
    put(row, own, x.left);
    put(row, own + 1u, x.right);
    put(row + 4u, own, y.left);
    put(row + 4u, own + 1u, y.right);
  }
}

fn less(s: ptr<function, Wide>, a: vec4f, x: vec4f, y: vec4f) {
  var left = (*s).left;
  var right = (*s).right;
  lessOuter(&left, a, x);
  lessOuter(&right, a, y);
  *s = Wide(left, right);
}

fn rowsOf(row: u32, own: u32) -> Rows {
  let pitch = pitch4(dims.columns);
  let at = row * pitch + own;
  return Rows(block[at], block[at + pitch], block[at + 2u * pitch], block[at + 3u * pitch]);
}

// The triangle of four rows at `a`; rows beyond the last get 1 on the diagonal, and are not kept.
fn solvedAt(a: u32, row: u32, s: Wide) -> Wide {
  let pitch = pitch4(dims.cornerColumns);
  let upper = Rows(corner[a], corner[a + pitch], corner[a + 2u * pitch], corner[a + 3u * pitch]);
  let diagonal = vec4f(upper.r0.x, upper.r1.y, upper.r2.z, upper.r3.w);
  let inside = vec4u(row) + vec4u(0u, 1u, 2u, 3u) < vec4u(dims.rows);
  let inverse = 1.0 / select(vec4f(1.0), diagonal, inside);
  return Wide(solved(upper, inverse, s.left), solved(upper, inverse, s.right));
}

fn put(row: u32, own: u32, x: Rows) {
  let pitch = pitch4(dims.columns);
  let at = (dims.first + row) * pitch + own;
  out[at] = keep(row, dims.rows, own, dims.columns, x.r0);
  out[at + pitch] = keep(row + 1u, dims.rows, own, dims.columns, x.r1);
  out[at + 2u * pitch] = keep(row + 2u, dims.rows, own, dims.columns, x.r2);
  out[at + 3u * pitch] = keep(row + 3u, dims.rows, own, dims.columns, x.r3);
}
