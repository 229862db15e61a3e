// 5. 8×8 results per invocation
//
// Twice the sides, half the loads: 16 for 256 multiplications. Written out as four matrices, since an array that is
// indexed in a loop stays in memory if a driver does not unroll the loop.
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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let fours = p.n / 4u;
    let place = divide(invocation_index(id, groups), fours / 2u);
    if place.x >= fours / 2u { return; }
    let i = place.x * 8u * fours;
    let i4 = i + 4u * fours;
    let j = place.y * 2u;
    var sum00: mat4x4<f32>;
    var sum04: mat4x4<f32>;
    var sum40: mat4x4<f32>;
    var sum44: mat4x4<f32>;
    for (var k = 0u; k < fours; k++) {
        let b0 = rows_of_b(4u * k * fours + j, fours);
        let b4 = rows_of_b(4u * k * fours + j + 1u, fours);
        let a0 = rows_of_a(i + k, fours);
        let a4 = rows_of_a(i4 + k, fours);
        sum00 += b0 * a0;
        sum04 += b4 * a0;
        sum40 += b0 * a4;
        sum44 += b4 * a4;
    }
    store(sum00, i + j, fours);
    store(sum04, i + j + 1u, fours);
    store(sum40, i4 + j, fours);
    store(sum44, i4 + j + 1u, fours);
}
