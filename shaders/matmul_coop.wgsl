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
#include "common/product.wgsl"

alias Left = coop_mat8x8<f32, A>;
alias Right = coop_mat8x8<f32, B>;
alias Sum = coop_mat8x8<f32, C>;

const SIDE = 32u;
// Initial values of sums of eight rows.
var<workgroup> first: array<f32, 256>;

fn left_matrix(start: u32, i: u32, k: u32) -> Left {
#if A_ALONG_K
    return coopLoadT<Left>(&a[start + i * p.a.row + k], p.a.row);
#else
    return coopLoad<Left>(&a[start + i + k * p.a.column], p.a.column);
#endif
}

fn right_matrix(start: u32, k: u32, j: u32) -> Right {
#if B_ALONG_N
    return coopLoadT<Right>(&b[start + k * p.b.row + j], p.b.row);
#else
    return coopLoad<Right>(&b[start + k + j * p.b.column], p.b.column);
#endif
}

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
    let columns = (p.n + SIDE - 1u) / SIDE;
    let place = divide(workgroup_index(group, groups), columns);
    let i_block = place.x * SIDE;
    let j_block = place.y * SIDE;
    // Squares of this block; none beyond the last row, in case the grid is folded.
    let across = min((p.n - j_block + 15u) / 16u, 2u);
    let down = min((max(p.m, i_block) - i_block + 15u) / 16u, 2u);

    let batch = (group.z + p.first_layer) % p.batches;
    let split = (group.z + p.first_layer) / p.batches;
    let batch0 = batch / p.batch1;
    let batch1 = batch % p.batch1;
    let a_start = batch0 * p.a.batch0 + batch1 * p.a.batch1;
    let b_start = batch0 * p.b.batch0 + batch1 * p.b.batch1;
    let start = split * p.split_step + batch0 * p.out.batch0 + batch1 * p.out.batch1;

    for (var i = lane; i < 8u * SIDE; i += WORKGROUP) {
#if BIAS
        first[i] = bias[min(j_block + i % SIDE, p.n - 1u)];
#else
        first[i] = 0.0;
#endif
    }
    workgroupBarrier();

    let end = min((split + 1u) * p.chunk, p.k);
    for (var square = subgroup; square < across * down; square += subgroups) {
        let i0 = i_block + square / across * 16u;
        let j0 = j_block + square % across * 16u;
        let i1 = min(i0 + 8u, p.m - 8u);
        let j1 = min(j0 + 8u, p.n - 8u);
        var sum00 = coopLoadT<Sum>(&first[j0 - j_block], SIDE);
        var sum01 = coopLoadT<Sum>(&first[j1 - j_block], SIDE);
        var sum10 = sum00;
        var sum11 = sum01;
        for (var k = split * p.chunk; k < end; k += 8u) {
            let above = left_matrix(a_start, i0, k);
            let below = left_matrix(a_start, i1, k);
            let left = right_matrix(b_start, k, j0);
            let right = right_matrix(b_start, k, j1);
            sum00 = coopMultiplyAdd(above, left, sum00);
            sum01 = coopMultiplyAdd(above, right, sum01);
            sum10 = coopMultiplyAdd(below, left, sum10);
            sum11 = coopMultiplyAdd(below, right, sum11);
        }
        store(sum00, start, i0, j0);
        store(sum01, start, i0, j1);
        store(sum10, start, i1, j0);
        store(sum11, start, i1, j1);
    }
}
