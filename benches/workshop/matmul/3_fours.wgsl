// 3. four results per invocation, four elements per load
//
// Back to single invocations. Four neighbours along a row of the result share the loads of a, and all operands are
// read as vec4s: 5 loads for 16 multiplications.
#include "common/index.wgsl"

struct Params { n: u32, columns: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let fours = p.n / 4u;
    let place = divide(invocation_index(id, groups), fours);
    if place.x >= p.n { return; }
    let i = place.x;
    let j = place.y;
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < fours; k++) {
        let first = 4u * k * fours + j;
        let b_rows = mat4x4<f32>(b[first], b[first + fours], b[first + 2u * fours], b[first + 3u * fours]);
        sum += b_rows * a[i * fours + k];
    }
    out[i * fours + j] = sum;
}
