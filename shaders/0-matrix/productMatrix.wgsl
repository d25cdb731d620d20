// with fragments/load.wgsl, fragments/buffers.wgsl, fragments/operands.wgsl, fragments/quad.wgsl, fragments/pieces.wgsl, fragments/pieceSums.wgsl, fragments/store.wgsl
// productMatrix — the matrix product by subgroup matrices of f16 that add in f32; each f32 is three exact pieces of f16.
//
//   sum[i, j] = Σ_k  left[k, i] · right[k, j]          k < depth, i < rows, j < columns
//   2^e · x = p₁ + 2⁻¹¹ p₂ + 2⁻²² p₃, one e a column and block;  x · y from p₁q₁, p₁q₂ + p₂q₁, p₂q₂ + p₁q₃ + p₃q₁
//
// in    left, right [depth, …] and dims as in buffers.wgsl and operands.wgsl
// out   through `begin(column4)` and `finish(row, column4, sum)` of the epilogue, which writes the padding too
// grid  one workgroup a tile of 4 · M × 4 · N values, tiles over x and y, slabs over z; LANES lanes, at least four
//       subgroups, each of the first four 2 × 2 matrices; in their sums a lane owns two quads at most: M · N ≤ 2 · LANES
// error |sum − exact| ≤ γ(k) · Σ_k |left[k,i] · right[k,j]|, u = 2⁻²³, k as in the other classes, if an adapter's matrices
//       add K products with no more than K roundings of u; WGSL promises nothing, so the search measures. The order
//       within a block of 64 is the adapter's: bits differ from the other classes. A block with a value that three
//       pieces do not hold, one below 2⁻²⁷ of its column's largest for example, is summed in f32
// cost  2 · rows · columns · depth flops, six times that in f16; 8 · (M + N) bytes loaded twice for 32 · M · N flops
// from  Markidis et al. 2018 and Ootomo & Yokota 2022 for the pieces; three here where they have two, so that none is lost
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

override LANES: u32 = 128u;
const M = 8u;
const N = 8u;
const K = 8u;

@compute @workgroup_size(LANES)
fn productMatrix(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let tile = dims.firstTile + group.x + group.y * groups.x;
  if tile >= dims.lastTile {
    return;
  }
  let place = tileAt(tile, 4u * M, 4u * N);
  let row = subgroup / 2u * 2u * M;
  let column = subgroup % 2u * 2u * N;
  let second = local + LANES;
  var u0 = Quad();
  var u1 = Quad();
  let slabs = slabsOf(group.z);
  for (var slab = slabs.x; slab < slabs.y; slab++) {
    var t0 = Quad();
    var t1 = Quad();
    let blocks = blocksOf(slab);
    for (var block = blocks.x; block < blocks.y; block++) {
      let first = 64u * block;
      let last = min(first + 64u, padded(dims.depth));
      workgroupBarrier();
      clear(local);
      workgroupBarrier();
      look(local, first, last, place);
      workgroupBarrier();
      var s00 = Sums();
      var s01 = Sums();
      var s10 = Sums();
      var s11 = Sums();
      for (var step = 0u; step < 64u / STEP; step++) {
        let start = first + STEP * step;
        if start >= last {
          break;
        }
        fill(local, start, place);
        workgroupBarrier();
        if subgroup < 4u {
          for (var k = 0u; k < STEP; k += K) {
            let a0 = lefts(k, row);
            let a1 = lefts(k, row + M);
            let b0 = rights(k, column);
            let b1 = rights(k, column + N);
            addProducts(&s00, a0, b0);
            addProducts(&s01, a0, b1);
            addProducts(&s10, a1, b0);
            addProducts(&s11, a1, b1);
          }
        }
        workgroupBarrier();
      }
      var s0 = Quad();
      var s1 = Quad();
      if workgroupUniformLoad(&lossy) == 0u {
        for (var level = 0u; level < 3u; level++) {
          if subgroup < 4u {
            put(level, s00, row, column);
            put(level, s01, row, column + N);
            put(level, s10, row + M, column);
            put(level, s11, row + M, column + N);
          }
          workgroupBarrier();
          take(&s0, local);
          take(&s1, second);
          workgroupBarrier();
        }
        s0 = unscaled(s0, local);
        s1 = unscaled(s1, second);
      } else {
        s0 = plain(local, first, last, place);
        s1 = plain(second, first, last, place);
      }
      addQuad(&t0, s0);
      addQuad(&t1, s1);
    }
    addQuad(&u0, t0);
    addQuad(&u1, t1);
  }
  var own = array<Quad, 2>(u0, u1);
  for (var i = 0u; i < 2u; i++) {
    let quad = local + i * LANES;
    if quad < M * N {
      let column4 = place.y / 4u + quad % N;
      begin(column4);
      handQuad(group.z, place.x + 4u * (quad / N), column4, own[i]);
    }
  }
}
