// Matrix product of strided operands in half precision by cooperative matrices, whose sums are f32.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// A workgroup computes 4·SIDE × 4·SIDE results. Its subgroups compute squares of 2·SIDE × 2·SIDE in turn, four matrices
// each, and no more of them than have room in workgroup memory; z counts (split s, batch b). m, n, k and the chunk are multiples of SIDE. Beyond the last row
// or column, the last matrices are multiplied again and not stored. Sums leave through workgroup memory, where they get
// the bias and, if the result is stored so, are rounded to halves.
// Products of halves are exact in f32, and every sum runs over k in steps of SIDE, in order: the result does not depend on
// scheduling.
enable f16;
enable wgpu_cooperative_matrix;
#include "common/index.wgsl"
#include "common/matrices.wgsl"

const SQUARE = 2u * SIDE;
// Vec4s of a square.
const FOURS = SIDE * SIDE;
// The square of every subgroup, by rows.
var<workgroup> squares: array<f32, $SUMS>;

fn four(at: u32) -> vec4<f32> {
    return vec4<f32>(squares[at], squares[at + 1u], squares[at + 2u], squares[at + 3u]);
}

// Stores four neighbours of a row.
fn store(sums: vec4<f32>, start: u32, i: u32, j: u32) {
#if OUT_VECTOR
    var all = sums;
#if BIAS
    all += load_bias(j / 4u);
#endif
    store_out((start + i * p.out.row + j) / 4u, all);
#else
    for (var next = 0u; next < 4u; next++) {
        var sum = sums[next];
#if BIAS
        sum += load_bias(j + next);
#endif
        store_out(start + i * p.out.row + (j + next) * p.out.column, sum);
    }
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32) {
    let columns = (p.n + 2u * SQUARE - 1u) / (2u * SQUARE);
    let block = divide(workgroup_index(group, groups), columns);
    let i_block = block.x * 2u * SQUARE;
    let j_block = block.y * 2u * SQUARE;
    let layer = layer(group.z);
    // Squares of this block; none beyond the last row, in case the grid is folded.
    let across = min((p.n - j_block + SQUARE - 1u) / SQUARE, 2u);
    let down = min((max(p.m, i_block) - i_block + SQUARE - 1u) / SQUARE, 2u);

    // All subgroups take the same number of turns, since they meet at barriers.
    for (var turn = 0u; turn < across * down; turn += subgroups) {
        let square = turn + subgroup;
        let i0 = i_block + square / across * SQUARE;
        let j0 = j_block + square % across * SQUARE;
        let i1 = min(i0 + SIDE, p.m - SIDE);
        let j1 = min(j0 + SIDE, p.n - SIDE);
        // A subgroup without a square adds nothing. The loop is not in an `if` instead, since naga refuses products of
        // matrices under a condition that depends on the subgroup.
        var end = layer.first;
        if square < across * down {
            end = layer.end;
        }
        var sum00 = Sum();
        var sum01 = Sum();
        var sum10 = Sum();
        var sum11 = Sum();
        for (var k = layer.first; k < end; k += SIDE) {
            let above = left_matrix(layer.a, i0, k);
            let below = left_matrix(layer.a, i1, k);
            let left = right_matrix(layer.b, k, j0);
            let right = right_matrix(layer.b, k, j1);
            sum00 = coopMultiplyAdd(above, left, sum00);
            sum01 = coopMultiplyAdd(above, right, sum01);
            sum10 = coopMultiplyAdd(below, left, sum10);
            sum11 = coopMultiplyAdd(below, right, sum11);
        }
        let at00 = subgroup * 4u * FOURS;
        let at01 = at00 + SIDE;
        let at10 = at00 + SIDE * SQUARE;
        let at11 = at10 + SIDE;
        let step = SQUARE;
        coopStoreT(sum00, &squares[at00], step);
        coopStoreT(sum01, &squares[at01], step);
        coopStoreT(sum10, &squares[at10], step);
        coopStoreT(sum11, &squares[at11], step);
        workgroupBarrier();
        // All invocations store all squares.
        let last = min(across * down - turn, subgroups) * FOURS;
        for (var at = lane; at < last; at += WORKGROUP) {
            let own = turn + at / FOURS;
            let i = i_block + own / across * SQUARE + at % FOURS / (SQUARE / 4u);
            let j = j_block + own % across * SQUARE + at % (SQUARE / 4u) * 4u;
            if i < p.m && j < p.n {
                store(four(4u * at), layer.out, i, j);
            }
        }
        workgroupBarrier();
    }
}
