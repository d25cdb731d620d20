// with fragments/load.wgsl, fragments/triangle.wgsl
// factor — Cholesky's factor of a block on the diagonal, in one workgroup.
//
//   Σ_k corner[k, i] · corner[k, j] = block[i, first + j]        i ≤ j < rows, k ≤ i; corner[i, j] = 0 where i > j
//   upper[first + i, first + j] = corner[i, j]
//   pivots[0, first + i] = block[i, first + i] − Σ_k<i corner[k, i]²
//
// in    block   f32 [rows, n]      its upper triangle from column `first` on; first a multiple of 16
// out   corner  f32 [BLOCK, BLOCK] rows ≤ BLOCK of it; zero beyond
//       upper   f32 [n, n]         rows and columns from `first` on
//       pivots  f32 [1, n]         where one is not positive, what follows is of no use
// grid  [1]; one lane four columns, four rows at a time, two barriers each
// error |Σ_k corner[k,i] · corner[k,j] − block[i,j]| ≤ γ(rows + 8) · Σ_k |corner[k,i] · corner[k,j]|, u = 2⁻²³: a term a
//       row before, the inverse square root twice with 2 ulp, two products by it
// cost  rows³ / 3 flops, 12 · rows² bytes
// from  Golub & Van Loan 2013, §4.2.6; Higham 2002, theorem 10.3 for the error
struct Dims {
  n: u32,
  first: u32,
  rows: u32,
}

@group(0) @binding(0) var<storage, read> block: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> corner: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> upper: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> pivots: array<vec4f>;
@group(0) @binding(4) var<uniform> dims: Dims;

const BLOCK = 64u;
const QUADS = BLOCK / 4u;

// Rows of the factor as they are found; on the diagonal, first what is to be factored there.
var<workgroup> found: array<vec4f, BLOCK * QUADS>;

@compute @workgroup_size(QUADS)
fn factor(@builtin(local_invocation_index) own: u32) {
  let pitch = pitch4(dims.n);
  let at = dims.first / 4u + own;
  let inside = 4u * own < padded(dims.rows);
  for (var step = 0u; step < QUADS; step++) {
    let row = 4u * step;
    // Nothing is left of the diagonal: lanes there have no work, and where none of a subgroup has it takes no time.
    let before = select(row, 0u, own < step);
    var s = Rows();
    if inside && own >= step && row < padded(dims.rows) {
      s = Rows(
        block[row * pitch + at],
        block[(row + 1u) * pitch + at],
        block[(row + 2u) * pitch + at],
        block[(row + 3u) * pitch + at],
      );
    }
    for (var k = 0u; k < BLOCK; k++) {
      if k >= before {
        break;
      }
      lessOuter(&s, found[k * QUADS + step], found[k * QUADS + own]);
    }
    if own == step {
      put(row, own, s);
    }
    workgroupBarrier();
    let a = Rows(
      found[row * QUADS + step],
      found[(row + 1u) * QUADS + step],
      found[(row + 2u) * QUADS + step],
      found[(row + 3u) * QUADS + step],
    );
    workgroupBarrier();
    // The same 4 × 4 factor in every lane.
    let i0 = inverseSqrt(a.r0.x);
    let u0 = a.r0 * i0;
    let p1 = fma(-u0.y, u0.y, a.r1.y);
    let i1 = inverseSqrt(p1);
    let u1 = fma(vec4f(-u0.y), u0, a.r1) * i1;
    let p2 = fma(-u1.z, u1.z, fma(-u0.z, u0.z, a.r2.z));
    let i2 = inverseSqrt(p2);
    let u2 = fma(vec4f(-u1.z), u1, fma(vec4f(-u0.z), u0, a.r2)) * i2;
    let p3 = fma(-u2.w, u2.w, fma(-u1.w, u1.w, fma(-u0.w, u0.w, a.r3.w)));
    let i3 = inverseSqrt(p3);
    let x = solved(Rows(u0, u1, u2, vec4f()), vec4f(i0, i1, i2, i3), s);
    let pitchOf = pitch4(BLOCK);
    let columns = vec4u(4u * own) + vec4u(0u, 1u, 2u, 3u);
    var rows = array<vec4f, 4>(x.r0, x.r1, x.r2, x.r3);
    for (var i = 0u; i < 4u; i++) {
      let below = select(rows[i], vec4f(), columns < vec4u(row + i));
      let value = keep(row + i, dims.rows, own, dims.rows, below);
      found[(row + i) * QUADS + own] = value;
      corner[(row + i) * pitchOf + own] = value;
      if inside && row < padded(dims.rows) {
        upper[(dims.first + row + i) * pitch + at] = value;
      }
    }
    if own == step && inside {
      pivots[at] = keep(0u, 1u, own, dims.rows, vec4f(a.r0.x, p1, p2, p3));
    }
    workgroupBarrier();
  }
}

fn put(row: u32, own: u32, s: Rows) {
  found[row * QUADS + own] = s.r0;
  found[(row + 1u) * QUADS + own] = s.r1;
  found[(row + 2u) * QUADS + own] = s.r2;
  found[(row + 3u) * QUADS + own] = s.r3;
}
