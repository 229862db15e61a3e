// What every element-wise kernel shares. The kernel itself is one line per function of its chain, on V = f32 or
// four neighbours; its parameters are the extents that remain after merging axes, the step of every input along
// them (0 where it repeats), and the constants of the chain in order.
alias V = $VALUE;
alias U = $BITS;

struct Params {
    n: u32,
    extents: vec4<u32>,
    strides: array<vec4<u32>, 7>,
    scalars: array<vec4<f32>, 4>,
}

#include "common/math.wgsl"

// 1 for numbers, 0 for infinities and NaN. By bits: a compiler may assume that comparisons meet neither.
fn finite(x: V) -> V {
    let exponent = U(0x7f800000u);
    return select(V(1.0), V(0.0), (bitcast<U>(x) & exponent) == exponent);
}
