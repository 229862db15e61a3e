// Uniform random numbers in [0, 1) from a counter-based generator.
//
//   y[4·i + lane] = (philox(counter = (i, stream, step, 0), key = seed)[lane] >> 8) · 2⁻²⁴
//
// key = (low word of the seed, high word of the seed, step). One invocation computes four elements. The numbers depend
// on seed, step, stream and element only: not on scheduling, the device or earlier runs.
#include "common/index.wgsl"
#include "common/philox.wgsl"

struct Params { n: u32, stream: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read key: array<i32>
#write y: array<vec4<f32>>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.n { return; }
    let seed = vec2<u32>(u32(load_key(0)), u32(load_key(1)));
    let words = philox(vec4<u32>(i, p.stream, u32(load_key(2)), 0u), seed);
    // Both conversions are exact: 24 bits, times a power of two.
    store_y(i, vec4<f32>(words >> vec4<u32>(8u)) * 5.9604644775390625e-8);
}
