// Common parts of the pixel losses: their parameters, pixels one at a time or four at a time (FOURS), and which of them
// are labelled.
#include "common/interpolate.wgsl"

#if FOURS
alias V = vec4<f32>;
alias I = vec4<i32>;
const LANES = 4;
#else
alias V = f32;
alias I = i32;
const LANES = 1;
#endif
#include "common/math.wgsl"

struct Params { rows: Axis, columns: Axis, batch: u32, channels: u32, first: i32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;

// 1 where a pixel is labelled with one of the channels, else 0; t = label − first.
fn counts(label: I, t: I) -> I {
    return select(I(1), I(0), label == I(255)) * select(I(0), I(1), t >= I(0))
        * select(I(0), I(1), t < I(i32(p.channels)));
}
