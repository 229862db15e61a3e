// Neighbours of the pixels of extent.wgsl. The kernel declares p.rows and p.columns, the vertical and horizontal distances
// to the neighbours of every ring, clamped to the image's height and width, in elements of the map that centre_of is given.
#include "common/extent.wgsl"

// What all rings around a pixel inside the extent share: the row and column of its element `first` in a map with so many
// elements per pixel, and how many elements it is from the upper, lower, left and right border of the extent.
struct Centre { row: u32, column: u32, up: u32, down: u32, back: u32, ahead: u32 }

fn centre_of(pixel: Pixel, elements: u32, first: u32) -> Centre {
    let row = p.width * elements;
    let at = vec2<u32>(pixel.at);
    let before = at * vec2<u32>(row, elements);
    let behind = (vec2<u32>(pixel.size) - 1u - at) * vec2<u32>(row, elements);
    let start = pixel.map * elements;
    return Centre(start + before.x, before.y + first, before.x, behind.x, before.y, behind.y);
}

// The eight neighbours of a pixel at one distance, as indices of that element of each, row by row: a, then b.
struct Ring { a: vec4<u32>, b: vec4<u32> }

// Ring r around a pixel. Neighbours beyond a border of the extent are clamped to it.
fn ring_at(centre: Centre, r: u32) -> Ring {
    let rows = p.rows[r / 4u][r % 4u];
    let columns = p.columns[r / 4u][r % 4u];
    let above = centre.row - min(rows, centre.up);
    let below = centre.row + min(rows, centre.down);
    let left = centre.column - min(columns, centre.back);
    let right = centre.column + min(columns, centre.ahead);
    return Ring(vec4<u32>(above + left, above + centre.column, above + right, centre.row + left),
                vec4<u32>(centre.row + right, below + left, below + centre.column, below + right));
}
