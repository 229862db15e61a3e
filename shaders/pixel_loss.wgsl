// Loss of every pixel of logits x [batch, channels, plane] against label [batch, plane], class t = label − first.
//
//   MARGIN:         out[b, s] = Σ_c −[h·logσ(x) + (1 − h)·logσ(−x)] with h = 1 where c = t, else 0
//   CROSS_ENTROPY:  out[b, s] = log Σ_c exp(x) − x[t]
//   both 0 where label = 255 or t is no channel: such pixels are skipped, so that nothing of them can reach a sum.
//
// One invocation walks the channels of one pixel, or of four neighbours (VALUE = vec4<f32>), in order: deterministic.
// The exponential sum is kept relative to the largest logit so far.
alias V = $VALUE;
alias I = $LABEL;
#include "common/index.wgsl"
#include "common/math.wgsl"

struct Params { batch: u32, channels: u32, plane: u32, first: i32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> label: array<I>;
@group(0) @binding(3) var<storage, read_write> out: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.plane { return; }
    let own = label[index];
    let t = own - p.first;
    // 1 where the pixel counts.
    let counts = select(I(1), I(0), own == I(255)) * select(I(0), I(1), t >= I(0))
        * select(I(0), I(1), t < I(i32(p.channels)));
    if all(counts == I(0)) {
        out[index] = V(0.0);
        return;
    }
    var at = index / p.plane * p.channels * p.plane + index % p.plane;
#if MARGIN
    var loss = V(0.0);
    for (var c = 0; c < i32(p.channels); c++) {
        let logit = x[at];
        loss -= log_sigmoid(select(-logit, logit, t == I(c)));
        at += p.plane;
    }
#else
    var largest = x[at];
    var target_logit = largest;
    var sum = V(1.0);
    for (var c = 1; c < i32(p.channels); c++) {
        at += p.plane;
        let logit = x[at];
        let larger = max(largest, logit);
        sum = sum * exp(largest - larger) + exp(logit - larger);
        largest = larger;
        target_logit = select(target_logit, logit, t == I(c));
    }
    let loss = log(sum) + (largest - target_logit);
#endif
    out[index] = select(V(0.0), loss, counts == I(1));
}
