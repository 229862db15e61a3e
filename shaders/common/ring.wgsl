// The eight neighbours of a pixel at one distance, as indices of pixels, row by row: a, then b.
struct Ring { a: vec4<u32>, b: vec4<u32> }

// `at` and `size` are (y, x) and (height, width); coordinates are clamped to the size. `map` is the index of the
// image's first pixel, `width` its row step.
fn ring_at(at: vec2<i32>, distance: i32, size: vec2<i32>, map: u32, width: u32) -> Ring {
    let low = max(at - distance, vec2<i32>(0));
    let high = min(at + distance, size - 1);
    let above = map + u32(low.x) * width;
    let middle = map + u32(at.x) * width;
    let below = map + u32(high.x) * width;
    let left = u32(low.y);
    let centre = u32(at.y);
    let right = u32(high.y);
    return Ring(vec4<u32>(above + left, above + centre, above + right, middle + left),
                vec4<u32>(middle + right, below + left, below + centre, below + right));
}
