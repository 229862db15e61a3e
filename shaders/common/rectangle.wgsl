// Axes of the resize of a rectangle that is data. The kernel declares p.align_corners.
#include "common/interpolate.wgsl"

fn axis_of(input: i32, output: i32) -> Axis {
    let unit = select(2 * output, max(output - 1, 1), p.align_corners != 0u);
    let step = select(2 * input, input - 1, p.align_corners != 0u);
    let shift = select(input - output, 0, p.align_corners != 0u);
    return Axis(input, output, step, shift, unit, 1.0 / f32(unit), 0, 0);
}
