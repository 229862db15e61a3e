// Common parts of the attention kernels for graphics cards. Every image and head has a matrix of scores, of which a
// workgroup has a tile of 32×32 at a time: first each invocation computes 4×4 of it, then four rows of one or two (WIDE)
// vec4s of the result, for which the weights of the tile go through workgroup memory. So an invocation needs registers
// for few values, and no array. Tokens are [B, tokens, C], of which a head owns CHUNKS neighbouring vec4s. Rows and
// columns beyond the last are read from clamped addresses; such rows are not stored, such columns get weight 0.
#include "common/fused.wgsl"

const CHUNKS: u32 = $CHUNKS;
const SIDE: u32 = 32u;

struct Params {
    rows: u32, columns: u32, heads: u32, width: u32, scale: f32, layers: u32, chunk: u32,
    first_row: u32, first_layer: u32,
}

// Weights of the tile: [column / 4][column % 4][row / 4], four rows each.
var<workgroup> weights: array<array<array<vec4<f32>, 8>, 4>, 8>;

// Starts of four of `count` tokens of a head.
fn starts(batch: u32, head: u32, first: u32, count: u32) -> vec4<u32> {
    let four = min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u));
    let start = (batch * count + four) * p.width + head * CHUNKS;
#if UNROLLED
    return min(start, vec4<u32>(MOST_FOURS));
#else
    return start;
#endif
}

// Positions of four of the columns before `end`, where those of a head's first column begin at `start`. WHOLE: the number of
// columns is a multiple of four.
fn four_columns(start: u32, column: u32, end: u32) -> vec4<u32> {
#if WHOLE
    return start + column * p.width + vec4<u32>(0u, 1u, 2u, 3u) * p.width;
#else
    let four = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(end - 1u));
    return start + four * p.width;
#endif
}

// Adds to sum[column][row] the products of four channels of columns and rows.
fn add_products(sum: mat4x4<f32>, columns: mat4x4<f32>, rows: mat4x4<f32>) -> mat4x4<f32> {
    return add_product(sum, columns, transpose(rows));
}

// Products of four columns and four rows over all channels. The kernel declares add_scores, which adds those of one vec4.
fn scores(columns: vec4<u32>, rows: vec4<u32>) -> mat4x4<f32> {
    var sum = mat4x4<f32>();
#if UNROLLED
    for (var c = 0u; c < CHUNKS; c += 8u) {
        // The bound tells compilers that the positions do not wrap, as MOST_FOURS does.
        let at = min(c, CHUNKS);
        sum = add_scores(sum, columns + at, rows + at, 0u);
        sum = add_scores(sum, columns + at, rows + at, 1u);
        sum = add_scores(sum, columns + at, rows + at, 2u);
        sum = add_scores(sum, columns + at, rows + at, 3u);
        sum = add_scores(sum, columns + at, rows + at, 4u);
        sum = add_scores(sum, columns + at, rows + at, 5u);
        sum = add_scores(sum, columns + at, rows + at, 6u);
        sum = add_scores(sum, columns + at, rows + at, 7u);
    }
#else
    for (var c = 0u; c < CHUNKS; c++) { sum = add_scores(sum, columns, rows, c); }
#endif
    return sum;
}

// Adds a value, weighted for each of four rows, to the sums of these rows.
fn add_weighted(sums: mat4x4<f32>, weights: vec4<f32>, value: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(fma(vec4<f32>(weights.x), value, sums[0]), fma(vec4<f32>(weights.y), value, sums[1]),
                       fma(vec4<f32>(weights.z), value, sums[2]), fma(vec4<f32>(weights.w), value, sums[3]));
}

// Shares the weights of four columns, the j-th, and four rows, the i-th, with the workgroup.
fn share(i: u32, j: u32, own: mat4x4<f32>) {
    weights[j][0][i] = own[0];
    weights[j][1][i] = own[1];
    weights[j][2][i] = own[2];
    weights[j][3][i] = own[3];
}

// What such an invocation has shared.
fn shared_by(i: u32, j: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weights[j][0][i], weights[j][1][i], weights[j][2][i], weights[j][3][i]);
}
