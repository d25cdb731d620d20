// partial — epilogue of a product whose summed axis is cut into slabs: out[slab · padded(rows) + i, j] += the slab's sum.
//
// out   out   f32 [slabRows, columns], zero at first   slabRows = slabs · padded(rows), or padded(rows) where slabs come
//             one after another
// error one rounding for every slab that is added to others
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

fn begin(column4: u32) {}

fn finish(row: u32, column4: u32, sum: vec4f) {
  let inside = row % padded(dims.rows);
  let value = keep(inside, dims.rows, column4, dims.columns, sum);
  out[row * pitch4(dims.columns) + column4] += value;
}
