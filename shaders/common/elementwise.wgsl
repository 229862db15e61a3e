// A chain of element-wise functions with broadcasting: y[i] = chain(i), on V = f32 or four neighbours.
//
// The op writes the bindings and `chain`, one line per function (src/engine/ops/elementwise_kernel.rs). The parameters
// are the extents of the axes that remain after merging, the stride of every input along them (0 if it is repeated),
// and the constants of the chain in order. One invocation computes one element or four neighbours: deterministic.
#include "common/index.wgsl"
#include "common/math.wgsl"

alias V = $VALUE;
alias U = $BITS;
alias Result = $RESULT;

struct Params {
    n: u32,
    extents: array<vec4<u32>, 2>,
    strides: array<array<vec4<u32>, 2>, 7>,
    scalars: array<vec4<f32>, 4>,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;

// 1 for finite numbers, 0 for infinities and NaN. By bits, since a compiler may assume that comparisons see neither.
fn finite(x: V) -> V {
    let exponent = U(0x7f800000u);
    return select(V(1.0), V(0.0), (bitcast<U>(x) & exponent) == exponent);
}

// x, but 0 for NaN: what an integer of NaN is differs between devices.
fn number_or_zero(x: V) -> V {
    return select(x, V(0.0), (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u));
}

// x / c. A device may round a quotient in its last bits; one that is an integer is exact on all of them.
fn quotient(x: V, c: f32) -> V {
    let y = x / c;
    let whole = round(y);
    return select(y, whole, whole * c == x);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.n { return; }
    store_y(i, Result(chain(i)));
}
