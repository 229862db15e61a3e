// Matrix product of strided operands through workgroup memory, for graphics cards: on software devices, its loads cost
// as much as global ones.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// A workgroup computes 64×64 results, 8×8 per invocation. It loads 64×8 of a and 8×64 of b into workgroup memory at a
// time: each invocation 4×4, the first half of them of a, the others of b, so that an invocation needs registers for one
// operand and a subgroup of 32 does not diverge. UNROLLED, a turn of the loop multiplies two terms of every sum instead of
// one. z counts (split s, batch b). Every sum runs over k in order: the result does not depend on scheduling.
#include "common/index.wgsl"
#include "common/fours.wgsl"

const BESIDE = 4u;
const SIDE = 64u;
const STEP = 8u;
// Eight rows of a, or columns of b, at one k: [operand · 2 + k / 4][k % 4][row / 8]. With constants as k, all of an
// invocation's positions are one address and constant distances from it.
var<workgroup> parts: array<array<array<mat2x4<f32>, 8>, 4>, 4>;

// Adds the outer product of a column of four and a row of four to sum (element [i][j]).
fn outer(sum: mat4x4<f32>, column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return sum + mat4x4<f32>(column.x * row, column.y * row, column.z * row, column.w * row);
}

// The sums of an invocation, four blocks of 4×4.
struct Sums { above_left: mat4x4<f32>, above_right: mat4x4<f32>, below_left: mat4x4<f32>, below_right: mat4x4<f32> }

// Adds the products of eight rows of a and eight columns of b at one k.
fn add(sums: Sums, step: u32, down: u32, across: u32) -> Sums {
    let a = parts[step / 4u][step % 4u][down];
    let b = parts[2u + step / 4u][step % 4u][across];
    return Sums(outer(sums.above_left, a[0], b[0]), outer(sums.above_right, a[0], b[1]),
                outer(sums.below_left, a[1], b[0]), outer(sums.below_right, a[1], b[1]));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let columns = (p.n + SIDE - 1u) / SIDE;
    let index = workgroup_index(group, groups);
    if index >= columns * ((p.m + SIDE - 1u) / SIDE) { return; }
    let block = divide(index, columns);
    let i_block = block.x * SIDE;
    let j_block = block.y * SIDE;
    let layer = layer(group.z);

    let down = lane / 8u;
    let across = lane % 8u;
    let i0 = i_block + 8u * down;
    let j0 = j_block + 8u * across;
    let left_first = begin(j0);
    let right_first = begin(j0 + 4u);
    var sums = Sums(left_first, right_first, left_first, right_first);

    let part = lane % 16u;
    let rows = rows_from(layer.a, i_block + 4u * part);
    let columns_part = columns_from(layer.b, j_block + 4u * part);
    let four = lane / 16u;
    let k_part = four % 2u * 4u;
    let of_b = lane >= 32u;
    for (var k = layer.first; k < layer.end; k += STEP) {
        // Beyond the end of the sum everything is 0.
        var own = mat4x4<f32>();
        if k + k_part < layer.end {
            if of_b {
                own = block_of_b(columns_part, 0u, k + k_part, layer.end);
            } else {
                own = block_of_a(rows, k + k_part, layer.end);
            }
        }
        parts[four][0][part / 2u][part % 2u] = own[0];
        parts[four][1][part / 2u][part % 2u] = own[1];
        parts[four][2][part / 2u][part % 2u] = own[2];
        parts[four][3][part / 2u][part % 2u] = own[3];
        workgroupBarrier();
#if UNROLLED
        sums = add(sums, 0u, down, across);
        sums = add(sums, 1u, down, across);
        sums = add(sums, 2u, down, across);
        sums = add(sums, 3u, down, across);
        sums = add(sums, 4u, down, across);
        sums = add(sums, 5u, down, across);
        sums = add(sums, 6u, down, across);
        sums = add(sums, 7u, down, across);
#else
        for (var step = 0u; step < STEP; step++) {
            sums = add(sums, step, down, across);
        }
#endif
        workgroupBarrier();
    }
    store(sums.above_left, layer.out, i0, j0);
    store(sums.above_right, layer.out, i0, j0 + 4u);
    store(sums.below_left, layer.out, i0 + 4u, j0);
    store(sums.below_right, layer.out, i0 + 4u, j0 + 4u);
}
