// One axis of a bilinear resize, in integers: output d lies at position(d) / unit on the input's axis. Integers are
// exact, so that a forward kernel and its gradient agree on every cell and weight to the last bit at any size.
struct Axis { input: i32, output: i32, step: i32, shift: i32, unit: i32, @size(12) inverse: f32 }

fn position(axis: Axis, d: i32) -> i32 {
    return clamp(d * axis.step + axis.shift, 0, (axis.input - 1) * axis.unit);
}

// position / unit, rounded down: a guess in real numbers, put right in integers (an integer division is slow).
fn cell(axis: Axis, at: i32) -> i32 {
    let guess = i32(f32(at) * axis.inverse);
    let rest = at - guess * axis.unit;
    return guess + select(0, 1, rest >= axis.unit) - select(0, 1, rest < 0);
}

// Weight of the cell's right neighbour; the cell itself has the rest.
fn fraction(axis: Axis, at: i32, i: i32) -> f32 {
    return f32(at - i * axis.unit) * axis.inverse;
}
