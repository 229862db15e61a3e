// What every element-wise kernel shares. The kernel itself is one line per function of its chain, on V = f32 or
// four neighbours; its parameters are the extents that remain after merging axes, the step of every input along
// them (0 where it repeats), and the constants of the chain in order.
alias V = $VALUE;

struct Params {
    n: u32,
    extents: vec4<u32>,
    strides: array<vec4<u32>, 7>,
    scalars: array<vec4<f32>, 4>,
}

#include "common/math.wgsl"
