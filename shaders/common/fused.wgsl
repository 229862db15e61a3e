// Products of 4×4 matrices that are added to sums, by fused multiply-adds: drivers do not always find them themselves.

// sum + x · rows.
fn add_row(sum: vec4<f32>, x: vec4<f32>, rows: mat4x4<f32>) -> vec4<f32> {
    let two = fma(vec4<f32>(x.y), rows[1], fma(vec4<f32>(x.x), rows[0], sum));
    return fma(vec4<f32>(x.w), rows[3], fma(vec4<f32>(x.z), rows[2], two));
}

// The same for four sums.
fn add_product(sum: mat4x4<f32>, x: mat4x4<f32>, rows: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(add_row(sum[0], x[0], rows), add_row(sum[1], x[1], rows),
                       add_row(sum[2], x[2], rows), add_row(sum[3], x[3], rows));
}

// No binding has so many vec4s, not even of halves (`Device::largest_binding`). A position that is bounded by it, outside a
// loop, tells compilers that the next positions do not wrap: they make them constant distances from the first, and do not
// take the sum apart to add its terms anew in every turn.
const MOST_FOURS: u32 = 0x0fffff00u;
