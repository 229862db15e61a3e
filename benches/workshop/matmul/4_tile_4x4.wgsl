// 4. 4×4 results per invocation
//
// Four rows share the loads of b, too: 8 loads for 64 multiplications. The tile is in registers.
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
    let place = divide(invocation_index(id, groups), fours);
    if place.x >= fours { return; }
    let i = place.x * 4u * fours;
    let j = place.y;
    var sum: mat4x4<f32>;
    for (var k = 0u; k < fours; k++) {
        sum += rows_of_b(4u * k * fours + j, fours) * rows_of_a(i + k, fours);
    }
    store(sum, i + j, fours);
}
