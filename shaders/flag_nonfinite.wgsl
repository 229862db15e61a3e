// Sets a flag if a value is infinite or NaN.
//
//   flags[slot] ← 1 if any x[i] has an exponent of ones, else stays
//
// By bits: WGSL lets a compiler assume that there is no NaN, so comparisons cannot find one. One invocation looks at
// four elements; those beyond n are padding and may hold anything. All that set the flag write the same bits.
#include "common/index.wgsl"

struct Params { n: u32, slot: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> flags: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = invocation_index(id, groups) * 4u;
    if first >= p.n { return; }
    let exponent = vec4<u32>(0x7f800000u);
    let index = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    if any(((x[first / 4u] & exponent) == exponent) & (index < vec4<u32>(p.n))) {
        atomicStore(&flags[p.slot], bitcast<u32>(1.0));
    }
}
