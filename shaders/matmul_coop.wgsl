// Matrix product of strided operands by cooperative matrices, 8×8 values distributed over a subgroup.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// A workgroup computes 32×32 results. Its subgroups, whatever their number, compute squares of 16×16 in turn,
// four matrices each; z counts (split s, batch b). m, n, k and the chunk are multiples of eight, and every operand is
// loaded in its layout, by rows (A_ALONG_K, B_ALONG_N) or columns; the result is stored likewise (OUT_VECTOR: by rows).
// Matrices beyond the last row or column repeat the last ones and store the same values again.
// Every sum runs over k in steps of eight, in order: the result does not depend on scheduling.
enable wgpu_cooperative_matrix;
#include "common/index.wgsl"
#include "common/matrices.wgsl"

const BLOCK = 4u * SIDE;
// Initial values of sums of eight rows.
var<workgroup> first: array<f32, 256>;

fn store(sum: Sum, start: u32, i: u32, j: u32) {
    // In a variable, since naga 30 drops expressions in the arguments of coopStore.
    let at = start + i * p.out.row + j * p.out.column;
#if OUT_VECTOR
    let step = p.out.row;
    coopStoreT(sum, &out[at], step);
#else
    let step = p.out.column;
    coopStore(sum, &out[at], step);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) subgroups: u32) {
    let columns = (p.n + BLOCK - 1u) / BLOCK;
    let block = divide(workgroup_index(group, groups), columns);
    let i_block = block.x * BLOCK;
    let j_block = block.y * BLOCK;
    let layer = layer(group.z);
    // Squares of this block; none beyond the last row, in case the grid is folded.
    let across = min((p.n - j_block + 15u) / 16u, 2u);
    let down = min((max(p.m, i_block) - i_block + 15u) / 16u, 2u);

    for (var i = lane; i < SIDE * BLOCK; i += WORKGROUP) {
#if BIAS
        first[i] = bias[min(j_block + i % BLOCK, p.n - 1u)];
#else
        first[i] = 0.0;
#endif
    }
    workgroupBarrier();

    for (var square = subgroup; square < across * down; square += subgroups) {
        let i0 = i_block + square / across * 16u;
        let j0 = j_block + square % across * 16u;
        let i1 = min(i0 + 8u, p.m - 8u);
        let j1 = min(j0 + 8u, p.n - 8u);
        var sum00 = coopLoadT<Sum>(&first[j0 - j_block], BLOCK);
        var sum01 = coopLoadT<Sum>(&first[j1 - j_block], BLOCK);
        var sum10 = sum00;
        var sum11 = sum01;
        for (var k = layer.first; k < layer.end; k += SIDE) {
            let above = left_matrix(layer.a, i0, k);
            let below = left_matrix(layer.a, i1, k);
            let left = right_matrix(layer.b, k, j0);
            let right = right_matrix(layer.b, k, j1);
            sum00 = coopMultiplyAdd(above, left, sum00);
            sum01 = coopMultiplyAdd(above, right, sum01);
            sum10 = coopMultiplyAdd(below, left, sum10);
            sum11 = coopMultiplyAdd(below, right, sum11);
        }
        store(sum00, layer.out, i0, j0);
        store(sum01, layer.out, i0, j1);
        store(sum10, layer.out, i1, j0);
        store(sum11, layer.out, i1, j1);
    }
}
