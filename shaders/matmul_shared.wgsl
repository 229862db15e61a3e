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
// Eight rows of a, or columns of b, at one k: [operand][k][row / 8]. Together, they take one address.
var<workgroup> parts: array<mat2x4<f32>, 128>;

// Adds the outer product of a column of four and a row of four to sum (element [i][j]).
fn outer(sum: mat4x4<f32>, column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return sum + mat4x4<f32>(column.x * row, column.y * row, column.z * row, column.w * row);
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
    var above_left = left_first;
    var above_right = right_first;
    var below_left = left_first;
    var below_right = right_first;

    let part = lane % 16u;
    let rows = rows_from(i_block + 4u * part);
    let columns_part = columns_from(j_block + 4u * part);
    let k_part = lane / 16u % 2u * 4u;
    let of_b = lane >= 32u;
    let slot = lane / 32u * 64u + k_part * 8u + part / 2u;
    for (var k = layer.first; k < layer.end; k += STEP) {
        // Beyond the end of the sum everything is 0.
        var own = mat4x4<f32>();
        if k + k_part < layer.end {
            if of_b {
                own = block_of_b(layer.b, columns_part, 0u, k + k_part, layer.end);
            } else {
                own = block_of_a(layer.a, rows, k + k_part, layer.end);
            }
        }
        for (var step = 0u; step < 4u; step++) {
            parts[slot + step * 8u][part % 2u] = own[step];
        }
        workgroupBarrier();
#if UNROLLED
        for (var step = 0u; step < STEP; step += 2u) {
#else
        for (var step = 0u; step < STEP; step++) {
#endif
            let a = parts[step * 8u + down];
            let b = parts[64u + step * 8u + across];
            above_left = outer(above_left, a[0], b[0]);
            above_right = outer(above_right, a[0], b[1]);
            below_left = outer(below_left, a[1], b[0]);
            below_right = outer(below_right, a[1], b[1]);
#if UNROLLED
            let next_a = parts[8u + step * 8u + down];
            let next_b = parts[72u + step * 8u + across];
            above_left = outer(above_left, next_a[0], next_b[0]);
            above_right = outer(above_right, next_a[0], next_b[1]);
            below_left = outer(below_left, next_a[1], next_b[0]);
            below_right = outer(below_right, next_a[1], next_b[1]);
#endif
        }
        workgroupBarrier();
    }
    store(above_left, layer.out, i0, j0);
    store(above_right, layer.out, i0, j0 + 4u);
    store(below_left, layer.out, i0 + 4u, j0);
    store(below_right, layer.out, i0 + 4u, j0 + 4u);
}
