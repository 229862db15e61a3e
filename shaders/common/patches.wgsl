// An image [B, H, W, C] as the matrix of its patches, none of which is stored:
//
//   patches[(b, oy, ox), (ky, kx, c)] = image[b, oy·stride + ky - above, ox·stride + kx - left, c], 0 outside
//
// For one ky, the columns (kx, c) follow each other in the image, too: `along` counts both there. C is a multiple of
// four, so that four columns from a multiple of four are neighbours, all inside or all outside.

struct Window {
    height: u32, row: u32, out_height: u32, out_width: u32,
    run: u32, stride: u32, above: u32, left: u32,
    channels: u32, unused0: u32, unused1: u32, unused2: u32,
}

// Start of four patches: the element, its row and its position in the row, all wrapped below zero. FOURS: the number of
// patches in a row is a multiple of four, so that four neighbours are in one row, and the start of the first is enough.
#if FOURS
alias Starts = u32;
#else
alias Starts = vec4<u32>;
#endif

struct Patches {
    begin: Starts,
    top: Starts,
    left: Starts,
}

// Columns of four patches: their row in a patch and their position in the row.
struct Taps {
    down: vec4<u32>,
    along: vec4<u32>,
}

// Elements of the image, and whether they are in it; element 0 if they are not.
struct Elements {
    at: vec4<u32>,
    inside: vec4<bool>,
}

#if FOURS
// Distance of four patches from the first, in elements.
fn beside(w: Window) -> vec4<u32> {
    return vec4<u32>(0u, 1u, 2u, 3u) * (w.stride * w.channels);
}
#else
// Quotients by the extent of numbers that exceed it by less than 3.
fn wraps(n: vec4<u32>, extent: u32) -> vec4<u32> {
    let none = vec4<u32>(0u);
    let one = vec4<u32>(1u);
    return select(none, one, n >= vec4<u32>(extent)) + select(none, one, n >= vec4<u32>(2u * extent))
        + select(none, one, n >= vec4<u32>(3u * extent));
}
#endif

// Four patches from `first`, none beyond the last of `count`.
fn patches_from(w: Window, first: u32, count: u32) -> Patches {
#if FOURS
    let row = divide(min(first, count - 1u), w.out_width);
    let image = divide(row.x, w.out_height);
    let top = image.y * w.stride - w.above;
    let left = (row.y * w.stride - w.left) * w.channels;
    return Patches((image.x * w.height + top) * w.row + left, top, left);
#else
    let begin = min(first, count - 1u);
    let row = divide(begin, w.out_width);
    let image = divide(row.x, w.out_height);
    let x = row.y + min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count - 1u - begin));
    let rows_on = wraps(x, w.out_width);
    let y = image.y + rows_on;
    let images_on = wraps(y, w.out_height);
    let top = (y - images_on * w.out_height) * w.stride - w.above;
    let left = ((x - rows_on * w.out_width) * w.stride - w.left) * w.channels;
    return Patches(((image.x + images_on) * w.height + top) * w.row + left, top, left);
#endif
}

fn elements(w: Window, patches: Patches, down: u32, along: u32) -> Elements {
#if FOURS
    let left = patches.left + along + beside(w);
    let inside = vec4<bool>(patches.top + down < w.height) & (left < vec4<u32>(w.row));
    let at = patches.begin + (down * w.row + along) + beside(w);
#else
    let inside = (patches.top + down < vec4<u32>(w.height)) & (patches.left + along < vec4<u32>(w.row));
    let at = patches.begin + (down * w.row + along);
#endif
    return Elements(select(vec4<u32>(0u), at, inside), inside);
}
