// One axis of a bilinear resize, in integers: output d is at position(d) / unit on the input's axis. Integers are
// exact, so that a forward kernel and its gradient agree on every cell and weight to the last bit at any size.
// The spare words pad it to whole vec4s, as a uniform block requires.
struct Axis { input: i32, output: i32, step: i32, shift: i32, unit: i32, inverse: f32, spare0: i32, spare1: i32 }

fn position(axis: Axis, d: i32) -> i32 {
    return clamp(d * axis.step + axis.shift, 0, (axis.input - 1) * axis.unit);
}

// position / unit, rounded down: an estimate in real numbers, corrected in integers (an integer division is slow).
fn cell(axis: Axis, at: i32) -> i32 {
    let guess = i32(f32(at) * axis.inverse);
    let rest = at - guess * axis.unit;
    return guess + select(0, 1, rest >= axis.unit) - select(0, 1, rest < 0);
}

// Weight of the cell's right neighbour; the cell itself has the rest.
fn fraction(axis: Axis, at: i32, i: i32) -> f32 {
    return f32(at - i * axis.unit) * axis.inverse;
}

// Weight with which output d reads input i: max(0, 1 − |position(d) / unit − i|).
fn reads(axis: Axis, d: i32, i: i32) -> f32 {
    return f32(max(axis.unit - abs(position(axis, d) - i * axis.unit), 0)) * axis.inverse;
}

// The outputs that may read input i, from x to y (exclusive): those whose position is within one unit of it.
// Positions beyond the ends are clamped to them.
fn readers(axis: Axis, i: i32) -> vec2<i32> {
    let below = (i - 1) * axis.unit - axis.shift;
    let above = (i + 1) * axis.unit - axis.shift;
    var first = 0;
    if i > 0 && below >= 0 { first = below / axis.step + 1; }
    var end = axis.output;
    if i + 1 < axis.input { end = min(end, (max(above, 0) + axis.step - 1) / axis.step); }
    return vec2<i32>(first, end);
}
