// 8. a subgroup of eight shares its loads of a: 32 rows by 64 columns
//
// A load is eight loads, one for each invocation of a subgroup. Those of a, which are the same for all eight, are done
// once: every lane loads four rows of 32, and broadcasts them while all multiply. A lane has all 32 rows of its own 8
// columns: 12 loads for 1024 multiplications of vectors, where a tile of 16×16 takes 32.
#include "common/index.wgsl"

struct Params { n: u32, columns: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

// Four rows from the one that begins at `at`, four columns of each.
fn rows_of_a(at: u32, fours: u32) -> mat4x4<f32> {
    return mat4x4<f32>(a[at], a[at + fours], a[at + 2u * fours], a[at + 3u * fours]);
}

fn rows_of_b(at: u32, fours: u32) -> mat4x4<f32> {
    return mat4x4<f32>(b[at], b[at + fours], b[at + 2u * fours], b[at + 3u * fours]);
}

fn store(sum: mat4x4<f32>, at: u32, fours: u32) {
    out[at] = sum[0];
    out[at + fours] = sum[1];
    out[at + 2u * fours] = sum[2];
    out[at + 3u * fours] = sum[3];
}

// Four rows of eight columns.
struct Rows { left: mat4x4<f32>, right: mat4x4<f32> }

fn multiply(sum: Rows, a_rows: mat4x4<f32>, b_rows: Rows) -> Rows {
    return Rows(sum.left + b_rows.left * a_rows, sum.right + b_rows.right * a_rows);
}

fn store_rows(sum: Rows, at: u32, fours: u32) {
    store(sum.left, at, fours);
    store(sum.right, at + 8u, fours);
}

// Broadcasts the rows that a lane has loaded to all lanes.
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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
    let fours = p.n / 4u;
    let rows = p.n / 32u;
    let index = workgroup_index(group, groups) * 8u + subgroup;
    if index >= rows * (p.n / 64u) { return; }
    // Down one column of tiles after the other, as in strips.
    let place = divide(index, rows);
    let i = place.y * 32u * fours;
    let j = place.x * 16u + lane;
    let down = 4u * fours;
    var sum0: Rows;
    var sum4: Rows;
    var sum8: Rows;
    var sum12: Rows;
    var sum16: Rows;
    var sum20: Rows;
    var sum24: Rows;
    var sum28: Rows;
    for (var k = 0u; k < fours; k++) {
        let at = 4u * k * fours + j;
        let b_rows = Rows(rows_of_b(at, fours), rows_of_b(at + 8u, fours));
        let own = rows_of_a(i + lane * down + k, fours);
        sum0 = multiply(sum0, of_lane0(own), b_rows);
        sum4 = multiply(sum4, of_lane1(own), b_rows);
        sum8 = multiply(sum8, of_lane2(own), b_rows);
        sum12 = multiply(sum12, of_lane3(own), b_rows);
        sum16 = multiply(sum16, of_lane4(own), b_rows);
        sum20 = multiply(sum20, of_lane5(own), b_rows);
        sum24 = multiply(sum24, of_lane6(own), b_rows);
        sum28 = multiply(sum28, of_lane7(own), b_rows);
    }
    store_rows(sum0, i + j, fours);
    store_rows(sum4, i + down + j, fours);
    store_rows(sum8, i + 2u * down + j, fours);
    store_rows(sum12, i + 3u * down + j, fours);
    store_rows(sum16, i + 4u * down + j, fours);
    store_rows(sum20, i + 5u * down + j, fours);
    store_rows(sum24, i + 6u * down + j, fours);
    store_rows(sum28, i + 7u * down + j, fours);
}
