// samples — where four neighbouring columns find what belongs to their samples: column j is an output of ⌊j / outputs⌋.
//
//   sampleOf[c] = ⌊(4 · column4 + c) / outputs⌋

// Places of scalars in a row of a matrix with one column a sample; with one output they lie in one vec4.
fn sampleOf(column4: u32) -> vec4u {
  return (4u * vec4u(column4) + vec4u(0u, 1u, 2u, 3u)) / dims.outputs;
}
