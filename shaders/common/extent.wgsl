// Pixels of images [batch, height, width] with an extent, the part of every image that is a picture; a larger one is all
// of the image. The kernel declares p.height, p.width and extent [batch, (height, width)].

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
