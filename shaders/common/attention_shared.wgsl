// Common parts of the attention kernels for graphics cards. Every image and head has a matrix of scores, of which a
// workgroup has a tile of 32×32 at a time: first each invocation computes 4×4 of it, then four rows of one or two (WIDE)
// vec4s of the result, for which the weights of the tile go through workgroup memory. So an invocation needs registers
// for few values, and no array. Tokens are [B, tokens, C], of which a head owns CHUNKS neighbouring vec4s. Rows and
// columns beyond the last are read from clamped addresses; such rows are not stored, such columns get weight 0.
#include "common/fused.wgsl"

const CHUNKS: u32 = $CHUNKS;
const SIDE: u32 = 32u;
// Vec4s of channels in a turn of the loops over scores. UNROLLED is for an even number of them.
#if UNROLLED
const CHUNKS_AT_ONCE: u32 = 2u;
#else
const CHUNKS_AT_ONCE: u32 = 1u;
#endif

struct Params {
    rows: u32, columns: u32, heads: u32, width: u32, scale: f32, layers: u32, chunk: u32,
    first_row: u32, first_layer: u32,
}

// Weights of the tile: [column][row / 4], four rows each.
var<workgroup> weights: array<vec4<f32>, 256>;

// Starts of four of `count` tokens of a head.
fn starts(batch: u32, head: u32, first: u32, count: u32) -> vec4<u32> {
    let four = min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u));
    return (batch * count + four) * p.width + head * CHUNKS;
}

// Adds to sum[column][row] the products of four channels of columns and rows.
fn add_products(sum: mat4x4<f32>, columns: mat4x4<f32>, rows: mat4x4<f32>) -> mat4x4<f32> {
    return add_product(sum, columns, transpose(rows));
}

// Adds a value, weighted for each of four rows, to the sums of these rows.
fn add_weighted(sums: mat4x4<f32>, weights: vec4<f32>, value: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(fma(vec4<f32>(weights.x), value, sums[0]), fma(vec4<f32>(weights.y), value, sums[1]),
                       fma(vec4<f32>(weights.z), value, sums[2]), fma(vec4<f32>(weights.w), value, sums[3]));
}

// Shares the weights of four columns, the j-th, and four rows, the i-th, with the workgroup.
fn share(i: u32, j: u32, own: mat4x4<f32>) {
    weights[32u * j + i] = own[0];
    weights[32u * j + 8u + i] = own[1];
    weights[32u * j + 16u + i] = own[2];
    weights[32u * j + 24u + i] = own[3];
}

// What such an invocation has shared.
fn shared_by(i: u32, j: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weights[32u * j + i], weights[32u * j + 8u + i],
                       weights[32u * j + 16u + i], weights[32u * j + 24u + i]);
}
