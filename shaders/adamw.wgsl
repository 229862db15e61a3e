// One step of AdamW on packed parameters, gradients and moments. Parameters and
// moments are updated in place.
//
//   p ← p · (1 - lr · decay)
//   m ← beta1 · m + (1 - beta1) · g
//   v ← beta2 · v + (1 - beta2) · g²
//   p ← p - lr / (1 - beta1^t) · m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
//
// With GATE, nothing changes if the gate is 0.
//
// hyper = (lr, decay, 1 - beta1^t, sqrt(1 - beta2^t)) of every group. One invocation updates four elements, a workgroup
// a block of one parameter; block k uses the hyper of groups[k]. Padding is updated like everything else and never
// read. Every element is independent: nothing depends on scheduling.
#include "common/index.wgsl"

struct Params { n: u32, beta1: f32, rest1: f32, beta2: f32, rest2: f32, eps: f32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read g: array<vec4<f32>>
#read hyper: array<vec4<f32>>
#read groups: array<f32>
#update param: array<vec4<f32>>
#update m: array<vec4<f32>>
#update v: array<vec4<f32>>
#if GATE
#read gate: array<f32>
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>) {
    let i = invocation_index(id, workgroups);
    if i >= p.n { return; }
#if GATE
    if load_gate(0) == 0.0 { return; }
#endif
    let h = load_hyper(u32(load_groups(i / WORKGROUP)));
    let gi = load_g(i);
    let mi = p.beta1 * load_m(i) + p.rest1 * gi;
    let vi = p.beta2 * load_v(i) + p.rest2 * gi * gi;
    store_m(i, mi);
    store_v(i, vi);
    store_param(i, load_param(i) * (1.0 - h.x * h.y) - (h.x / h.z) * mi / (sqrt(vi) / h.w + p.eps));
}
