// Gradient of the depth-wise convolution with respect to its taps and its bias, for x [B, H, W, C] and grad
// [B, OH, OW, C]; K = 3 or 5 (FIVE).
//
//   sums[chunk, K·ky + kx, c] = Σ_b Σ_i Σ_j grad[b, i, j, c]
//                               · x[b, i·stride + ky·dilation - above, j·stride + kx·dilation - left, c]
//   sums[chunk, K·K, c]       = Σ_b Σ_i Σ_j grad[b, i, j, c]                                rows (b, i) in the chunk
//
// One invocation sums one channel, or two or four if C allows, of one chunk of rows, in order, sliding along j, `step` by
// `step`, since only such neighbours read the same columns: it loads each column once and keeps the gradients of the
// outputs that the column reaches. `reduce` then adds the chunks in order. Nothing depends on scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params {
    rows: u32, height: u32, width: u32, channels: u32,
    out_height: u32, out_width: u32, stride: u32, dilation: u32,
    above: u32, left: u32, step: u32, chunk: u32,
    chunks: u32, first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<$VALUE>
#read grad: array<$VALUE>
#write sums: array<$VALUE>

#include "common/columns.wgsl"

// sum + the products of a column.
fn add(sum: Column, g: V, x: Column) -> Column {
    var own = sum;
    own.r0 = fma(g, x.r0, own.r0);
    own.r1 = fma(g, x.r1, own.r1);
    own.r2 = fma(g, x.r2, own.r2);
#if FIVE
    own.r3 = fma(g, x.r3, own.r3);
    own.r4 = fma(g, x.r4, own.r4);
#endif
    return own;
}

fn store(to: u32, sum: Column) {
    let down = SIDE * p.channels;
    store_sums(to, sum.r0);
    store_sums(to + down, sum.r1);
    store_sums(to + 2u * down, sum.r2);
#if FIVE
    store_sums(to + 3u * down, sum.r3);
    store_sums(to + 4u * down, sum.r4);
#endif
}

// Gradients of an output and of those before it, by their distance.
struct Grads {
    g0: V,
#if BY_ONE
    g1: V, g2: V,
#if FIVE
    g3: V, g4: V,
#endif
#endif
#if BY_TWO
    g1: V,
#if FIVE
    g2: V,
#endif
#endif
}

// Adds the products of the next output's gradient, whose first column is j, and of those before it that its columns
// belong to. The columns may be outside if they are to be `tested`.
fn next(totals: ptr<function, Columns>, g: ptr<function, Grads>, own: V, rows: Rows, j: u32, tested: bool) {
#if BY_ONE
#if FIVE
    (*g).g4 = (*g).g3;
    (*g).g3 = (*g).g2;
#endif
    (*g).g2 = (*g).g1;
    (*g).g1 = (*g).g0;
#endif
#if BY_TWO
#if FIVE
    (*g).g2 = (*g).g1;
#endif
    (*g).g1 = (*g).g0;
#endif
    (*g).g0 = own;
    let x0 = column(rows, j, tested);
    (*totals).c0 = add((*totals).c0, own, x0);
#if BY_ONE
    (*totals).c1 = add((*totals).c1, (*g).g1, x0);
    (*totals).c2 = add((*totals).c2, (*g).g2, x0);
#if FIVE
    (*totals).c3 = add((*totals).c3, (*g).g3, x0);
    (*totals).c4 = add((*totals).c4, (*g).g4, x0);
#endif
#else
    let x1 = column(rows, j + p.dilation, tested);
    (*totals).c1 = add((*totals).c1, own, x1);
#if BY_TWO
    (*totals).c2 = add((*totals).c2, (*g).g1, x0);
#if FIVE
    (*totals).c3 = add((*totals).c3, (*g).g1, x1);
    (*totals).c4 = add((*totals).c4, (*g).g2, x0);
#endif
#else
    (*totals).c2 = add((*totals).c2, own, column(rows, j + 2u * p.dilation, tested));
#if FIVE
    (*totals).c3 = add((*totals).c3, own, column(rows, j + 3u * p.dilation, tested));
    (*totals).c4 = add((*totals).c4, own, column(rows, j + 4u * p.dilation, tested));
#endif
#endif
#endif
}

// Steps of the loop after the last output, for the columns that still belong to it; columns to the right of j, in
// dilations, that a step loads; and, if UNROLLED, outputs of a turn of the loop over columns that are inside.
#if BY_ONE
const LATE = SIDE - 1u;
const AHEAD = 0u;
#else
#if BY_TWO
const LATE = (SIDE - 1u) / 2u;
const AHEAD = 1u;
#else
const LATE = 0u;
const AHEAD = SIDE - 1u;
#endif
#endif
const TURN = 2u;

#if UNROLLED
// Whether the columns of so many outputs from `at` on, whose first one is j, are among the first `width` of the image, and
// the outputs are inside, too.
fn untested(at: u32, j: u32, width: u32) -> bool {
    let last = j + (TURN - 1u) * p.step * p.stride + AHEAD * p.dilation;
    return j < width && last < width && at + (TURN - 1u) * p.step < p.out_width;
}
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.channels * p.chunks { return; }
    let c = index % p.channels;
    let chunk = index / p.channels;
    let end = min((chunk + 1u) * p.chunk, p.rows);
    let along = p.step * p.channels;
    let ahead = p.step * p.stride;
    let last = p.out_width + LATE * p.step;

    var totals: Columns;
    var plain = V(0.0);
    for (var row = chunk * p.chunk; row < end; row++) {
        let image = divide(row, p.out_height);
        let rows = rows_from(image.x, image.y * p.stride - p.above, c);
#if UNROLLED
        // With a row outside, all columns are tested.
        let width = select(0u, p.width, rows_inside(rows));
#endif
        for (var first = 0u; first < min(p.step, p.out_width); first++) {
            var j = first * p.stride - p.left;
            var source = (row * p.out_width + first) * p.channels + c;
            var g: Grads;
            var at = first;
#if UNROLLED
            // Columns to the left and to the right of the image are tested, and most others are not: two turns at most.
            while at < last {
#endif
                for (; at < last; at += p.step) {
#if UNROLLED
                    if untested(at, j, width) { break; }
#endif
                    let own = select(V(0.0), load_grad(source), at < p.out_width);
                    next(&totals, &g, own, rows, j, true);
                    plain += own;
                    j += ahead;
                    source += along;
                }
#if UNROLLED
                for (; untested(at, j, width); at += TURN * p.step) {
                    let g0 = load_grad(source);
                    next(&totals, &g, g0, rows, j, false);
                    let g1 = load_grad(source + along);
                    next(&totals, &g, g1, rows, j + ahead, false);
                    plain += g0;
                    plain += g1;
                    j += TURN * ahead;
                    source += TURN * along;
                }
            }
#endif
        }
    }
    let to = chunk * (SIDE * SIDE + 1u) * p.channels + c;
    store(to, totals.c0);
    store(to + p.channels, totals.c1);
    store(to + 2u * p.channels, totals.c2);
#if FIVE
    store(to + 3u * p.channels, totals.c3);
    store(to + 4u * p.channels, totals.c4);
#endif
    store_sums(to + SIDE * SIDE * p.channels, plain);
}
