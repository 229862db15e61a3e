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

// Where columns begin: the row of the image, wrapped below zero, and the element of channel c at its column 0.
struct Place { top: u32, begin: u32 }

fn place(image: u32, top: u32, c: u32) -> Place {
    return Place(top, (image * p.height + top) * p.width * p.channels + c);
}

fn pixel(place: Place, ky: u32, j: u32) -> V {
    let down = ky * p.dilation;
    let inside = j < p.width && place.top + down < p.height;
    let at = place.begin + (down * p.width + j) * p.channels;
    return select(V(0.0), load_x(select(0u, at, inside)), inside);
}

// The pixels of column j, which may be outside, wrapped below zero.
fn column(place: Place, j: u32) -> Column {
    var own: Column;
    own.r0 = pixel(place, 0u, j);
    own.r1 = pixel(place, 1u, j);
    own.r2 = pixel(place, 2u, j);
#if FIVE
    own.r3 = pixel(place, 3u, j);
    own.r4 = pixel(place, 4u, j);
#endif
    return own;
}

// The window whose first column is j, given the one before it: BY_ONE tap, BY_TWO taps, or without a column in common.
fn next(before: Columns, place: Place, j: u32) -> Columns {
    var own = before;
    let step = p.dilation;
#if FIVE
#if BY_ONE
    own.c0 = own.c1;
    own.c1 = own.c2;
    own.c2 = own.c3;
    own.c3 = own.c4;
#else
#if BY_TWO
    own.c0 = own.c2;
    own.c1 = own.c3;
    own.c2 = own.c4;
#else
    own.c0 = column(place, j);
    own.c1 = column(place, j + step);
    own.c2 = column(place, j + 2u * step);
#endif
    own.c3 = column(place, j + 3u * step);
#endif
    own.c4 = column(place, j + 4u * step);
#else
#if BY_ONE
    own.c0 = own.c1;
    own.c1 = own.c2;
#else
#if BY_TWO
    own.c0 = own.c2;
#else
    own.c0 = column(place, j);
#endif
    own.c1 = column(place, j + step);
#endif
    own.c2 = column(place, j + 2u * step);
#endif
    return own;
}

// What `next` needs in front of the window whose first column is j: the columns that both have.
fn before(place: Place, j: u32) -> Columns {
    var own: Columns;
    let step = p.dilation;
#if BY_ONE
    own.c1 = column(place, j);
    own.c2 = column(place, j + step);
#if FIVE
    own.c3 = column(place, j + 2u * step);
    own.c4 = column(place, j + 3u * step);
#endif
#endif
#if BY_TWO
#if FIVE
    own.c2 = column(place, j);
    own.c3 = column(place, j + step);
    own.c4 = column(place, j + 2u * step);
#else
    own.c2 = column(place, j);
#endif
#endif
    return own;
}
