// Rows of a matrix, each the work of LANES neighbouring invocations. On software devices that is one. On graphics cards
// neighbours read neighbouring elements of the row (SHARED) and tell each other what they found by way of the
// workgroup's memory; every one of them then merges all of it in the same order, so that nothing depends on scheduling.
#include "common/index.wgsl"

const LANES = u32($LANES);

#if SHARED
var<workgroup> found: array<vec3<f32>, WORKGROUP>;

// Tells the row what this lane found. To be called by all lanes, once.
fn tell(own: vec3<f32>, lane: u32) {
    found[lane] = own;
    workgroupBarrier();
}

// What lane i of the same row found.
fn told(i: u32, lane: u32) -> vec3<f32> {
    return found[lane / LANES * LANES + i];
}
#else
var<private> found: vec3<f32>;

fn tell(own: vec3<f32>, lane: u32) {
    found = own;
}

fn told(i: u32, lane: u32) -> vec3<f32> {
    return found;
}
#endif

// Sums of what all lanes found.
fn total_of(lane: u32) -> vec3<f32> {
    var total = told(0u, lane);
    for (var i = 1u; i < LANES; i++) { total += told(i, lane); }
    return total;
}
