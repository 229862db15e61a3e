// Gradient of pixel_loss.wgsl with respect to its logits x [batch, channels, plane], for grad [batch, plane].
//
//   MARGIN:         out[b, c, s] = (σ(x) − h)·grad[b, s] with h = 1 where c = t, else 0, and t = label − first
//   CROSS_ENTROPY:  out[b, c, s] = (softmax_c(x) − h)·grad[b, s]
//   both 0 where label = 255 or t is no channel.
//
// One invocation walks the channels of one pixel, or of four neighbours (VALUE = vec4<f32>), in order; the softmax
// takes a first walk for its denominator. Deterministic.
alias V = $VALUE;
alias I = $LABEL;
#include "common/index.wgsl"
#include "common/math.wgsl"

struct Params { batch: u32, channels: u32, plane: u32, first: i32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> label: array<I>;
@group(0) @binding(3) var<storage, read> grad: array<V>;
@group(0) @binding(4) var<storage, read_write> out: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.plane { return; }
    let own = label[index];
    let t = own - p.first;
    let counts = select(I(1), I(0), own == I(255)) * select(I(0), I(1), t >= I(0))
        * select(I(0), I(1), t < I(i32(p.channels)));
    let start = index / p.plane * p.channels * p.plane + index % p.plane;
    if all(counts == I(0)) {
        for (var c = 0u; c < p.channels; c++) { out[start + c * p.plane] = V(0.0); }
        return;
    }
    let g = grad[index];
#if CROSS_ENTROPY
    var largest = x[start];
    var sum = V(1.0);
    for (var c = 1u; c < p.channels; c++) {
        let logit = x[start + c * p.plane];
        let larger = max(largest, logit);
        sum = sum * exp(largest - larger) + exp(logit - larger);
        largest = larger;
    }
#endif
    for (var c = 0u; c < p.channels; c++) {
        let at = start + c * p.plane;
#if MARGIN
        let probability = sigmoid(x[at]);
#else
        let probability = exp(x[at] - largest) / sum;
#endif
        let slope = probability - select(V(0.0), V(1.0), t == I(i32(c)));
        out[at] = select(V(0.0), slope * g, counts == I(1));
    }
}
