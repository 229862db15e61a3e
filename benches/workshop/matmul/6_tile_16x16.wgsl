// 6. 16×16 results per invocation
//
// Twice the sides again: 32 loads for 1024 multiplications. No graphics card has enough registers for 256 results per
// invocation; a software device keeps them in its first-level cache.
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

// Four rows of sixteen columns.
struct Rows { c0: mat4x4<f32>, c4: mat4x4<f32>, c8: mat4x4<f32>, c12: mat4x4<f32> }

fn multiply(sum: Rows, a_rows: mat4x4<f32>, b_rows: Rows) -> Rows {
    return Rows(sum.c0 + b_rows.c0 * a_rows, sum.c4 + b_rows.c4 * a_rows,
                sum.c8 + b_rows.c8 * a_rows, sum.c12 + b_rows.c12 * a_rows);
}

fn store_rows(sum: Rows, at: u32, fours: u32) {
    store(sum.c0, at, fours);
    store(sum.c4, at + 1u, fours);
    store(sum.c8, at + 2u, fours);
    store(sum.c12, at + 3u, fours);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let fours = p.n / 4u;
    let tiles = fours / 4u;
    let place = divide(invocation_index(id, groups), tiles);
    if place.x >= tiles { return; }
    let i = place.x * 16u * fours;
    let j = place.y * 4u;
    let down = 4u * fours;
    var sum0: Rows;
    var sum4: Rows;
    var sum8: Rows;
    var sum12: Rows;
    for (var k = 0u; k < fours; k++) {
        let at = 4u * k * fours + j;
        let b_rows = Rows(rows_of_b(at, fours), rows_of_b(at + 1u, fours),
                          rows_of_b(at + 2u, fours), rows_of_b(at + 3u, fours));
        sum0 = multiply(sum0, rows_of_a(i + k, fours), b_rows);
        sum4 = multiply(sum4, rows_of_a(i + down + k, fours), b_rows);
        sum8 = multiply(sum8, rows_of_a(i + 2u * down + k, fours), b_rows);
        sum12 = multiply(sum12, rows_of_a(i + 3u * down + k, fours), b_rows);
    }
    store_rows(sum0, i + j, fours);
    store_rows(sum4, i + down + j, fours);
    store_rows(sum8, i + 2u * down + j, fours);
    store_rows(sum12, i + 3u * down + j, fours);
}
