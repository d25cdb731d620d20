// orthogonal — Gram and Schmidt's triangle for four columns W, known by their inner products alone.
//
//   (Tᵀ G T)[s, t] ≈ 1 where s = t, else 0        G = Wᵀ W, so that W T is orthonormal; T upper triangular
//
// error a column of T is 0 where less than 1/300 of that of W is not in those before it, so that what f32 loses of G does
//       not show
fn orthogonalizer(gram: mat4x4f) -> mat4x4f {
  var t = mat4x4f();
  for (var s = 0u; s < 4u; s++) {
    var own = vec4f();
    own[s] = 1.0;
    for (var before = 0u; before < s; before++) {
      own -= dot(t[before], gram * own) * t[before];
    }
    let left = dot(own, gram * own);
    if left > max(1e-5 * gram[s][s], 1e-30) {
      t[s] = own * inverseSqrt(left);
    }
  }
  return t;
}
