// Columns of pixels of x [B, H, W, C] under a window of three or five (FIVE) taps a side, zeros outside the image, for
// kernels that slide along W. The kernel declares V, x and p.height, p.width, p.channels (counted in V), p.dilation.
//
// Pixels, taps and sums of a window are held alike: column kx, row ky.
struct Column {
    r0: V, r1: V, r2: V,
#if FIVE
    r3: V, r4: V,
#endif
}

struct Columns {
    c0: Column, c1: Column, c2: Column,
#if FIVE
    c3: Column, c4: Column,
#endif
}

#if FIVE
const SIDE = 5u;
#else
const SIDE = 3u;
#endif

// A row of x under the window: the element of channel c at its column 0, and whether the row is in the image.
struct Row { begin: u32, inside: bool }

struct Rows {
    r0: Row, r1: Row, r2: Row,
#if FIVE
    r3: Row, r4: Row,
#endif
}

fn row_at(image: u32, row: u32, c: u32) -> Row {
    return Row((image * p.height + row) * p.width * p.channels + c, row < p.height);
}

// The rows from `top` on, wrapped below zero.
fn rows_from(image: u32, top: u32, c: u32) -> Rows {
    var own: Rows;
    own.r0 = row_at(image, top, c);
    own.r1 = row_at(image, top + p.dilation, c);
    own.r2 = row_at(image, top + 2u * p.dilation, c);
#if FIVE
    own.r3 = row_at(image, top + 3u * p.dilation, c);
    own.r4 = row_at(image, top + 4u * p.dilation, c);
#endif
    return own;
}

// Whether all rows are in the image.
fn rows_inside(rows: Rows) -> bool {
    let inside = rows.r0.inside && rows.r1.inside && rows.r2.inside;
#if FIVE
    return inside && rows.r3.inside && rows.r4.inside;
#else
    return inside;
#endif
}

// What is loaded outside the image is not used.
fn pixel(row: Row, along: u32, inside: bool, tested: bool) -> V {
    let loaded = load_x(row.begin + along);
    return select(V(0.0), loaded, !tested || (row.inside && inside));
}

// The pixels of column j, which may be outside, wrapped below zero, if it is to be `tested`: a literal, so that what is
// known to be inside takes no tests.
fn column(rows: Rows, j: u32, tested: bool) -> Column {
    let along = j * p.channels;
    let inside = j < p.width;
    var own: Column;
    own.r0 = pixel(rows.r0, along, inside, tested);
    own.r1 = pixel(rows.r1, along, inside, tested);
    own.r2 = pixel(rows.r2, along, inside, tested);
#if FIVE
    own.r3 = pixel(rows.r3, along, inside, tested);
    own.r4 = pixel(rows.r4, along, inside, tested);
#endif
    return own;
}
