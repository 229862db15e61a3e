// Matrix product of strided operands by subgroups, for software devices: there, a subgroup is a vector of the
// processor, so that a load costs one load per lane, and a broadcast costs none.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// A subgroup of LANES (4, or EIGHT) computes 4·LANES rows by 4·LANES or, WIDE, 8·LANES columns; a lane has all these
// rows of its own columns. In each step, every lane loads 4×4 of a, which it broadcasts to all, and its own columns of
// b. z counts (split s, batch b). Every sum runs over k in order: the result does not depend on scheduling.
#include "common/index.wgsl"
#include "common/fours.wgsl"

const LANES = $LANES;
const BESIDE = 4u * LANES;
const ROWS = 4u * LANES;
const COLUMNS = $COLUMNS;

// The columns of a lane in groups of four: four rows of b (element [k][j]) or of results (element [i][j]).
struct Fours {
    left: mat4x4<f32>,
#if WIDE
    right: mat4x4<f32>,
#endif
}

// Broadcasts a lane's values of a to all lanes.
fn of_lane0(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 0u), subgroupBroadcast(own[1], 0u),
                       subgroupBroadcast(own[2], 0u), subgroupBroadcast(own[3], 0u));
}
fn of_lane1(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 1u), subgroupBroadcast(own[1], 1u),
                       subgroupBroadcast(own[2], 1u), subgroupBroadcast(own[3], 1u));
}
fn of_lane2(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 2u), subgroupBroadcast(own[1], 2u),
                       subgroupBroadcast(own[2], 2u), subgroupBroadcast(own[3], 2u));
}
fn of_lane3(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 3u), subgroupBroadcast(own[1], 3u),
                       subgroupBroadcast(own[2], 3u), subgroupBroadcast(own[3], 3u));
}
#if EIGHT
fn of_lane4(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 4u), subgroupBroadcast(own[1], 4u),
                       subgroupBroadcast(own[2], 4u), subgroupBroadcast(own[3], 4u));
}
fn of_lane5(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 5u), subgroupBroadcast(own[1], 5u),
                       subgroupBroadcast(own[2], 5u), subgroupBroadcast(own[3], 5u));
}
fn of_lane6(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 6u), subgroupBroadcast(own[1], 6u),
                       subgroupBroadcast(own[2], 6u), subgroupBroadcast(own[3], 6u));
}
fn of_lane7(own: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(subgroupBroadcast(own[0], 7u), subgroupBroadcast(own[1], 7u),
                       subgroupBroadcast(own[2], 7u), subgroupBroadcast(own[3], 7u));
}
#endif

// sum + the product of four rows of a (element [k][i]) and four of b.
fn multiply(sum: Fours, ak: mat4x4<f32>, bk: Fours) -> Fours {
    let a_rows = transpose(ak);
    var next: Fours;
    next.left = add_product(sum.left, a_rows, bk.left);
#if WIDE
    next.right = add_product(sum.right, a_rows, bk.right);
#endif
    return next;
}

fn store_row(sum: Fours, start: u32, i0: u32, j0: u32) {
    var row = sum;
    for (var j = j0; j < min(j0 + COLUMNS, p.n); j += BESIDE) {
        store(row.left, start, i0, j);
#if WIDE
        row.left = row.right;
#endif
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
    let columns = (p.n + COLUMNS - 1u) / COLUMNS;
    let rows = (p.m + ROWS - 1u) / ROWS;
    let index = workgroup_index(group, groups) * (WORKGROUP / LANES) + subgroup;
    if index >= columns * rows { return; }
    // Down one column of tiles after the other, so that the next ones find the values of b in a cache.
    let place = divide(index, rows);
    let i0 = place.y * ROWS;
    let j0 = place.x * COLUMNS + 4u * lane;
    let layer = layer(group.z);

    var first: Fours;
    first.left = begin(j0);
#if WIDE
    first.right = begin(j0 + BESIDE);
#endif
    var sum0 = first;
    var sum4 = first;
    var sum8 = first;
    var sum12 = first;
#if EIGHT
    var sum16 = first;
    var sum20 = first;
    var sum24 = first;
    var sum28 = first;
#endif
    let own_rows = rows_from(layer.a, i0 + 4u * lane);
    let own_columns = columns_from(layer.b, j0);
    for (var k = layer.first; k < layer.end; k += 4u) {
        let own = block_of_a(own_rows, k, layer.end);
        var bk: Fours;
        bk.left = block_of_b(own_columns, 0u, k, layer.end);
#if WIDE
        bk.right = block_of_b(own_columns, 1u, k, layer.end);
#endif
        sum0 = multiply(sum0, of_lane0(own), bk);
        sum4 = multiply(sum4, of_lane1(own), bk);
        sum8 = multiply(sum8, of_lane2(own), bk);
        sum12 = multiply(sum12, of_lane3(own), bk);
#if EIGHT
        sum16 = multiply(sum16, of_lane4(own), bk);
        sum20 = multiply(sum20, of_lane5(own), bk);
        sum24 = multiply(sum24, of_lane6(own), bk);
        sum28 = multiply(sum28, of_lane7(own), bk);
#endif
    }
    for (var r = i0; r < min(i0 + ROWS, p.m); r += 4u) {
        store_row(sum0, layer.out, r, j0);
        sum0 = sum4;
        sum4 = sum8;
        sum8 = sum12;
#if EIGHT
        sum12 = sum16;
        sum16 = sum20;
        sum20 = sum24;
        sum24 = sum28;
#endif
    }
}
