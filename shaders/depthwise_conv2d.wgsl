// Depth-wise convolution of x [B, H, W, C] with taps [K·K, C], K = 3 or 5 (FIVE), zeros outside the image.
//
//   y[b, i, j, c] = bias[c] + Σ_ky Σ_kx taps[K·ky + kx, c]
//                             · x[b, i·stride + ky·dilation - above, j·stride + kx·dilation - left, c]
//
// MIRRORED: the gradient with respect to an image, where x is the gradient of the result. With i + above = stride·q + r
// and n taps that reach a pixel along either axis (n ≤ 3 where the stride is not 1):
//
//   y[b, i, j, c] = Σ_a Σ_b taps[K·(stride·(n-1-a) + r) + stride·(n-1-b) + s, c] · x[b, q + (a+1-n)·dilation, …, c]
//
// likewise across with s; taps from K on do not exist. Stride or dilation is 1. Pixels along j that are `step` apart have
// the same r and read columns that are a whole number of taps apart: one invocation computes a run of them for one
// channel, or for two or four if C allows. It loads the taps once. Where the windows of neighbours are BY_ONE or BY_TWO
// taps apart, it loads each column once, too, and adds it to the sums of all outputs that it reaches: an output is complete
// with its last column. The sums slide along, not the pixels, which would take more registers. Every output is one sum in
// fixed order.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params {
    total: u32, height: u32, width: u32, channels: u32,
    out_height: u32, out_width: u32, kernel: u32, stride: u32,
    dilation: u32, above: u32, left: u32, step: u32,
    run: u32, runs: u32, first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<$VALUE>
#read taps: array<$VALUE>
#if MIRRORED
#else
#read bias: array<$VALUE>
#endif
#write y: array<$VALUE>

#include "common/columns.wgsl"

#if MIRRORED
// (q, r): the last place of x that reaches a pixel, and the pixel's place among as many as the stride.
fn reached(pixel: u32, zeros: u32) -> vec2<u32> {
    return divide(pixel + zeros, p.stride);
}

fn first_reached(q: u32) -> u32 {
    return q - (SIDE - 1u) * p.dilation;
}
#endif

fn tap(ky: u32, kx: u32, c: u32) -> V {
#if MIRRORED
    let inside = ky < p.kernel && kx < p.kernel;
    return select(V(0.0), load_taps(select(0u, (ky * p.kernel + kx) * p.channels + c, inside)), inside);
#else
    return load_taps((ky * p.kernel + kx) * p.channels + c);
#endif
}

// Column `across` of the taps as the window meets them; `phase` is where the pixels lie among as many as the stride.
fn column_of_taps(across: u32, phase: vec2<u32>, c: u32) -> Column {
    var own: Column;
#if MIRRORED
    let last = p.stride * (SIDE - 1u) + phase.x;
    let kx = p.stride * (SIDE - 1u - across) + phase.y;
    own.r0 = tap(last, kx, c);
    own.r1 = tap(last - p.stride, kx, c);
    own.r2 = tap(last - 2u * p.stride, kx, c);
#if FIVE
    own.r3 = tap(last - 3u * p.stride, kx, c);
    own.r4 = tap(last - 4u * p.stride, kx, c);
#endif
#else
    own.r0 = tap(0u, across, c);
    own.r1 = tap(1u, across, c);
    own.r2 = tap(2u, across, c);
#if FIVE
    own.r3 = tap(3u, across, c);
    own.r4 = tap(4u, across, c);
#endif
#endif
    return own;
}

// sum + the products of a column.
fn add(sum: V, t: Column, x: Column) -> V {
    var own = fma(t.r0, x.r0, sum);
    own = fma(t.r1, x.r1, own);
    own = fma(t.r2, x.r2, own);
#if FIVE
    own = fma(t.r3, x.r3, own);
    own = fma(t.r4, x.r4, own);
#endif
    return own;
}

// Sums of the outputs whose last column is still to come: the next one first.
struct Sums {
    s0: V,
#if BY_ONE
    s1: V,
#if FIVE
    s2: V, s3: V,
#endif
#else
#if FIVE
    s1: V,
#endif
#endif
}

fn begin(start: V) -> Sums {
    var own: Sums;
    own.s0 = start;
#if BY_ONE
    own.s1 = start;
#if FIVE
    own.s2 = start;
    own.s3 = start;
#endif
#else
#if FIVE
    own.s1 = start;
#endif
#endif
    return own;
}

// The next output, whose last column is j; its columns may be outside if they are to be `tested`.
fn next(sums: ptr<function, Sums>, start: V, t: Columns, rows: Rows, j: u32, tested: bool) -> V {
#if BY_ONE
    let x = column(rows, j, tested);
#if FIVE
    let complete = add((*sums).s0, t.c4, x);
    (*sums).s0 = add((*sums).s1, t.c3, x);
    (*sums).s1 = add((*sums).s2, t.c2, x);
    (*sums).s2 = add((*sums).s3, t.c1, x);
    (*sums).s3 = add(start, t.c0, x);
#else
    let complete = add((*sums).s0, t.c2, x);
    (*sums).s0 = add((*sums).s1, t.c1, x);
    (*sums).s1 = add(start, t.c0, x);
#endif
#else
    let last = column(rows, j, tested);
    let before = column(rows, j - p.dilation, tested);
#if BY_TWO
#if FIVE
    let complete = add(add((*sums).s0, t.c3, before), t.c4, last);
    (*sums).s0 = add(add((*sums).s1, t.c1, before), t.c2, last);
    (*sums).s1 = add(start, t.c0, last);
#else
    let complete = add(add((*sums).s0, t.c1, before), t.c2, last);
    (*sums).s0 = add(start, t.c0, last);
#endif
#else
#if FIVE
    var complete = add(start, t.c0, column(rows, j - 4u * p.dilation, tested));
    complete = add(complete, t.c1, column(rows, j - 3u * p.dilation, tested));
    complete = add(complete, t.c2, column(rows, j - 2u * p.dilation, tested));
    complete = add(add(complete, t.c3, before), t.c4, last);
#else
    var complete = add(start, t.c0, column(rows, j - 2u * p.dilation, tested));
    complete = add(add(complete, t.c1, before), t.c2, last);
#endif
#endif
#endif
    return complete;
}

// Steps of the loop before the first output is complete, and columns to the left of j, in dilations, that a step loads.
#if BY_ONE
const EARLY = SIDE - 1u;
const BEHIND = 0u;
#else
#if BY_TWO
const EARLY = (SIDE - 1u) / 2u;
const BEHIND = 1u;
#else
const EARLY = 0u;
const BEHIND = SIDE - 1u;
#endif
#endif

#if APART
// Outputs of a turn of the loop over columns that are inside: after so many, sums are in the registers that they came from.
#if BY_ONE
const TURN = 4u;
#else
const TURN = 2u;
#endif

// Whether all columns of so many outputs before `end` are among the first `width` of the image; j is the last column of the
// first of them.
fn untested(at: u32, end: u32, j: u32, ahead: u32, width: u32) -> bool {
    let first = j - BEHIND * p.dilation;
    return first < width && j + (TURN - 1u) * ahead < width && at + (TURN - 1u) * p.step < end;
}
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.total { return; }
    let c = index % p.channels;
    let rest = index / p.channels;
    let piece = divide(rest % (p.runs * p.step), p.step);
    let first = piece.y + piece.x * p.run * p.step;
    let end = min(first + p.run * p.step, p.out_width);
    let row = rest / (p.runs * p.step);
    let image = divide(row, p.out_height);

#if MIRRORED
    let down = reached(image.y, p.above);
    let across = reached(first, p.left);
    let start = V(0.0);
    let phase = vec2<u32>(down.y, across.y);
    let rows = rows_from(image.x, first_reached(down.x), c);
    var j = first_reached(across.x);
    let ahead = p.dilation;
#else
    let start = load_bias(c);
    let phase = vec2<u32>(0u);
    let rows = rows_from(image.x, image.y * p.stride - p.above, c);
    var j = first * p.stride - p.left;
    let ahead = p.step * p.stride;
#endif
    var taps: Columns;
    taps.c0 = column_of_taps(0u, phase, c);
    taps.c1 = column_of_taps(1u, phase, c);
    taps.c2 = column_of_taps(2u, phase, c);
#if FIVE
    taps.c3 = column_of_taps(3u, phase, c);
    taps.c4 = column_of_taps(4u, phase, c);
#endif
    // The first column that the first output needs; where no columns are shared, its last one.
    j += (SIDE - 1u) * p.dilation - EARLY * ahead;
    var sums = begin(start);
    // The first columns have no loop of their own: compilers would unroll it, and its loads would take as many registers as
    // the taps.
    let early = EARLY * p.step;
    let last = end + early;
    var to = (row * p.out_width + first - early) * p.channels + c;
    let along = p.step * p.channels;
    var at = first;
#if APART
    // Columns to the left and to the right of the image are tested, and most others are not: two turns at most. With a
    // row outside, all are.
    let width = select(0u, p.width, rows_inside(rows));
    while at < last {
#endif
        for (; at < last; at += p.step) {
#if APART
            if at >= first + early && untested(at, last, j, ahead, width) { break; }
#endif
            let complete = next(&sums, start, taps, rows, j, true);
            if at >= first + early { store_y(to, complete); }
            j += ahead;
            to += along;
        }
#if APART
        for (; untested(at, last, j, ahead, width); at += TURN * p.step) {
            store_y(to, next(&sums, start, taps, rows, j, false));
            store_y(to + along, next(&sums, start, taps, rows, j + ahead, false));
#if BY_ONE
            store_y(to + 2u * along, next(&sums, start, taps, rows, j + 2u * ahead, false));
            store_y(to + 3u * along, next(&sums, start, taps, rows, j + 3u * ahead, false));
#endif
            j += TURN * ahead;
            to += TURN * along;
        }
    }
#endif
}
