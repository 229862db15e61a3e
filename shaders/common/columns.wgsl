// Columns of three pixels of x [B, H, W, C], zeros outside the image, for kernels that slide along W. The kernel
// declares V, x and p.height, p.width, p.channels (counted in V).
struct Column { above: V, level: V, below: V }

// The column at j in the rows around `row` (of all B·H rows), channel c; j may be -1 (wrapped) or W.
fn column(row: u32, j: u32, c: u32) -> Column {
    let i = row % p.height;
    let inside = j < p.width;
    let has_above = inside && i > 0u;
    let has_below = inside && i + 1u < p.height;
    let step = p.width * p.channels;
    let at = row * step + min(j, p.width - 1u) * p.channels + c;
    return Column(
        select(V(0.0), load_x(select(at, at - step, has_above)), has_above),
        select(V(0.0), load_x(at), inside),
        select(V(0.0), load_x(select(at, at + step, has_below)), has_below),
    );
}
