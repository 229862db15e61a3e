// Common parts of the resize of a rectangle and its transpose: parameters, rectangles [batch, (y, x, height,
// width)] and the axes of the resize. An element is one value or four neighbours along the channels (VALUE).
#include "common/interpolate.wgsl"

alias Value = $VALUE;

struct Params {
    batch: u32, height: u32, width: u32, channels: u32,
    in_height: u32, in_width: u32, align_corners: u32,
    // The rows of the result of the resize that the transpose adds up.
    begin: u32, end: u32,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read source: array<vec4<i32>>
#read destination: array<vec4<i32>>

// An element of maps [batch, height, width, p.channels]: its image, its (y, x) and its channel.
struct Place { image: u32, at: vec2<i32>, channel: u32 }

fn place(index: u32, height: u32, width: u32) -> Place {
    let pixel = index / p.channels;
    let row = pixel / width;
    return Place(row / height, vec2<i32>(i32(row % height), i32(pixel % width)), index % p.channels);
}

fn axis_of(input: i32, output: i32) -> Axis {
    let unit = select(2 * output, max(output - 1, 1), p.align_corners != 0u);
    let step = select(2 * input, input - 1, p.align_corners != 0u);
    let shift = select(input - output, 0, p.align_corners != 0u);
    return Axis(input, output, step, shift, unit, 1.0 / f32(unit), 0, 0);
}
