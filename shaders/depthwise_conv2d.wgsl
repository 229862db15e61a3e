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
// channel (or four, if C allows). It loads the taps once and keeps the columns that neighbours share. Every output is
// one sum in fixed order.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params {
    total: u32, height: u32, width: u32, channels: u32,
    out_height: u32, out_width: u32, kernel: u32, stride: u32,
    dilation: u32, above: u32, left: u32, step: u32,
    run: u32, runs: u32, first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#read taps: array<V>
#if MIRRORED
#else
#read bias: array<V>
#endif
#write y: array<V>

#include "common/columns.wgsl"

#if FIVE
const SIDE = 5u;
#else
const SIDE = 3u;
#endif

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

fn convolve(start: V, t: Columns, x: Columns) -> V {
    var sum = start;
#if FIVE
    sum += t.c0.r0 * x.c0.r0 + t.c1.r0 * x.c1.r0 + t.c2.r0 * x.c2.r0 + t.c3.r0 * x.c3.r0 + t.c4.r0 * x.c4.r0;
    sum += t.c0.r1 * x.c0.r1 + t.c1.r1 * x.c1.r1 + t.c2.r1 * x.c2.r1 + t.c3.r1 * x.c3.r1 + t.c4.r1 * x.c4.r1;
    sum += t.c0.r2 * x.c0.r2 + t.c1.r2 * x.c1.r2 + t.c2.r2 * x.c2.r2 + t.c3.r2 * x.c3.r2 + t.c4.r2 * x.c4.r2;
    sum += t.c0.r3 * x.c0.r3 + t.c1.r3 * x.c1.r3 + t.c2.r3 * x.c2.r3 + t.c3.r3 * x.c3.r3 + t.c4.r3 * x.c4.r3;
    sum += t.c0.r4 * x.c0.r4 + t.c1.r4 * x.c1.r4 + t.c2.r4 * x.c2.r4 + t.c3.r4 * x.c3.r4 + t.c4.r4 * x.c4.r4;
#else
    sum += t.c0.r0 * x.c0.r0 + t.c1.r0 * x.c1.r0 + t.c2.r0 * x.c2.r0;
    sum += t.c0.r1 * x.c0.r1 + t.c1.r1 * x.c1.r1 + t.c2.r1 * x.c2.r1;
    sum += t.c0.r2 * x.c0.r2 + t.c1.r2 * x.c1.r2 + t.c2.r2 * x.c2.r2;
#endif
    return sum;
}

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
    let origin = place(image.x, first_reached(down.x), c);
    var j = first_reached(across.x);
    let ahead = p.dilation;
#else
    let start = load_bias(c);
    let phase = vec2<u32>(0u);
    let origin = place(image.x, image.y * p.stride - p.above, c);
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
    var window = before(origin, j);
    for (var to = first; to < end; to += p.step) {
        window = next(window, origin, j);
        store_y((row * p.out_width + to) * p.channels + c, convolve(start, taps, window));
        j += ahead;
    }
}
