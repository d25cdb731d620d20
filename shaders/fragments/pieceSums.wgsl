// pieceSums — what subgroup matrices make of pieces: from sums of three sizes to quads. Needs pieces.wgsl and quad.wgsl.
fn lefts(k: u32, row: u32) -> Lefts {
  let at = k * PITCH + row;
  return Lefts(
    subgroupMatrixLoad<Left, col_major>(&pieces, at, PITCH),
    subgroupMatrixLoad<Left, col_major>(&pieces, at + STEP * PITCH, PITCH),
    subgroupMatrixLoad<Left, col_major>(&pieces, at + 2u * STEP * PITCH, PITCH),
  );
}

fn rights(k: u32, column: u32) -> Rights {
  let at = k * PITCH + 4u * M + column;
  return Rights(
    subgroupMatrixLoad<Right, row_major>(&pieces, at, PITCH),
    subgroupMatrixLoad<Right, row_major>(&pieces, at + STEP * PITCH, PITCH),
    subgroupMatrixLoad<Right, row_major>(&pieces, at + 2u * STEP * PITCH, PITCH),
  );
}

fn addProducts(s: ptr<function, Sums>, a: Lefts, b: Rights) {
  (*s).large = subgroupMatrixMultiplyAccumulate(a.p, b.p, (*s).large);
  (*s).middle = subgroupMatrixMultiplyAccumulate(a.p, b.q, (*s).middle);
  (*s).middle = subgroupMatrixMultiplyAccumulate(a.q, b.p, (*s).middle);
  (*s).small = subgroupMatrixMultiplyAccumulate(a.q, b.q, (*s).small);
  (*s).small = subgroupMatrixMultiplyAccumulate(a.p, b.r, (*s).small);
  (*s).small = subgroupMatrixMultiplyAccumulate(a.r, b.p, (*s).small);
}

// Puts down the sums of one size, the small ones first.
fn put(level: u32, s: Sums, row: u32, column: u32) {
  let at = 4u * N * row + column;
  if level == 0u {
    subgroupMatrixStore<row_major>(&sums, at, s.small, 4u * N);
  } else if level == 1u {
    subgroupMatrixStore<row_major>(&sums, at, s.middle, 4u * N);
  } else {
    subgroupMatrixStore<row_major>(&sums, at, s.large, 4u * N);
  }
}

fn four(at: u32) -> vec4f {
  return vec4f(sums[at], sums[at + 1u], sums[at + 2u], sums[at + 3u]);
}

// s = 2⁻¹¹ s + sums
fn take(s: ptr<function, Quad>, quad: u32) {
  let at = 16u * N * (quad / N) + 4u * (quad % N);
  (*s).r0 = 0x1p-11 * (*s).r0 + four(at);
  (*s).r1 = 0x1p-11 * (*s).r1 + four(at + 4u * N);
  (*s).r2 = 0x1p-11 * (*s).r2 + four(at + 8u * N);
  (*s).r3 = 0x1p-11 * (*s).r3 + four(at + 12u * N);
}

// 2^-e in two steps, so that nothing between leaves the range of f32.
fn shrunk(s: vec4f, e: vec4i) -> vec4f {
  let half = e >> vec4u(1u);
  return s * power(-half) * power(half - e);
}

fn unscaled(s: Quad, quad: u32) -> Quad {
  let e = exponents(quad / N % M);
  let f = exponents(M + quad % N);
  return Quad(
    shrunk(s.r0, e.x + f),
    shrunk(s.r1, e.y + f),
    shrunk(s.r2, e.z + f),
    shrunk(s.r3, e.w + f),
  );
}

// A block's sums in f32, as the other classes add them.
fn plain(quad: u32, first: u32, last: u32, place: vec2u) -> Quad {
  var s = Quad();
  for (var k = first; k < last; k++) {
    addOuter(&s, operand(quad / N % M, k, place), operand(M + quad % N, k, place));
  }
  return s;
}
