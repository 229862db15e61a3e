// Pixels of images [batch, height, width] and their neighbours. The kernel declares p.height, p.width, p.dilations and
// extent [batch, (height, width)], the part of every image that is a picture; a larger one is all of the image.

// `at` and `size` are (y, x) and (height, width) of the extent; `map` is the index of the image's first pixel.
struct Pixel { at: vec2<i32>, size: vec2<i32>, image: u32, map: u32, inside: bool }

fn pixel_at(index: u32) -> Pixel {
    let across = divide(index, p.width);
    let down = divide(across.x, p.height);
    let image = down.x;
    let at = vec2<i32>(i32(down.y), i32(across.y));
    let given = vec2<i32>(load_extent(2u * image), load_extent(2u * image + 1u));
    let size = min(given, vec2<i32>(i32(p.height), i32(p.width)));
    return Pixel(at, size, image, image * p.height * p.width, all(at < size));
}

// The eight neighbours of a pixel at one distance, as indices of the first element of each, row by row: a, then b.
struct Ring { a: vec4<u32>, b: vec4<u32> }

// Ring r of a pixel inside the extent, to which coordinates are clamped, where every pixel has so many elements.
fn ring_at(pixel: Pixel, r: u32, elements: u32) -> Ring {
    let distance = i32(p.dilations[r / 4u][r % 4u]);
    let low = max(pixel.at - distance, vec2<i32>(0));
    let high = min(pixel.at + distance, pixel.size - 1);
    let map = pixel.map * elements;
    let row = p.width * elements;
    let above = map + u32(low.x) * row;
    let middle = map + u32(pixel.at.x) * row;
    let below = map + u32(high.x) * row;
    let left = u32(low.y) * elements;
    let centre = u32(pixel.at.y) * elements;
    let right = u32(high.y) * elements;
    return Ring(vec4<u32>(above + left, above + centre, above + right, middle + left),
                vec4<u32>(middle + right, below + left, below + centre, below + right));
}
