// Loss of every pixel against label [batch, rows.output, columns.output], of logits that are given on a coarser grid, x
// [batch, channels, rows.input, columns.input], and interpolated to the pixels as needed (z, as in resize.wgsl).
//
//   MARGIN:         out[b, s] = Σ_c −[h·logσ(z_c) + (1 − h)·logσ(−z_c)] with h = 1 where c = t, else 0, and t = label − first
//   CROSS_ENTROPY:  out[b, s] = log Σ_c exp(z_c) − z_t
//   both 0 where label = 255 or t is not a channel: such pixels are skipped, so that they cannot affect a sum.
//   LOG_SUM:        out[b, s] = log Σ_c exp(z_c), without a label
//
// One invocation iterates over the channels of one pixel in order, or of four neighbours along x (FOURS, for
// enlargement by 1.5 and more, where these are within four columns): deterministic. The exponential sum is kept
// relative to the largest logit so far.
#include "common/index.wgsl"
#include "common/pixels.wgsl"

#read x: array<f32>
#if LOG_SUM
#else
#read label: array<I>
#endif
#write out: array<V>

// Positions of an invocation's pixels on the grid: the starts of two rows, the first column, and for every pixel the
// columns to its left counted from there and the weights of the cells below and to the right.
struct Place { above: u32, below: u32, column: i32, left: I, down: f32, right: V }

fn place(line: i32, first: i32) -> Place {
    let y = position(p.rows, line);
    let row = cell(p.rows, y);
    let width = u32(p.columns.input);
    let above = u32(row) * width;
    let below = u32(min(row + 1, p.rows.input - 1)) * width;
    let down = fraction(p.rows, y, row);
#if FOURS
    let at = I(position(p.columns, first), position(p.columns, first + 1),
               position(p.columns, first + 2), position(p.columns, first + 3));
    let column = cell(p.columns, at.x);
    let offset = at - column * p.columns.unit;
    let left = select(I(0), I(1), offset >= I(p.columns.unit)) + select(I(0), I(1), offset >= I(2 * p.columns.unit));
    return Place(above, below, column, left, down, V(offset - left * p.columns.unit) * p.columns.inverse);
#else
    let at = position(p.columns, first);
    let column = cell(p.columns, at);
    return Place(above, below, column, 0, down, fraction(p.columns, at, column));
#endif
}

fn between(plane: u32, place: Place, column: i32) -> f32 {
    let at = plane + u32(min(column, p.columns.input - 1));
    let a = load_x(at + place.above);
    return a + place.down * (load_x(at + place.below) - a);
}

// The logits of the channel whose grid starts at `plane`.
fn logit(plane: u32, place: Place) -> V {
    let c0 = between(plane, place, place.column);
    let c1 = between(plane, place, place.column + 1);
#if FOURS
    let c2 = between(plane, place, place.column + 2);
    let c3 = between(plane, place, place.column + 3);
    let second = place.left >= I(1);
    let third = place.left >= I(2);
    let left = select(select(V(c0), V(c1), second), V(c2), third);
    let right = select(select(V(c1), V(c2), second), V(c3), third);
    return left + place.right * (right - left);
#else
    return c0 + place.right * (c1 - c0);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let width = u32(p.columns.output / LANES);
    let height = u32(p.rows.output);
    if index >= p.batch * height * width { return; }
#if LOG_SUM
#else
    let own = load_label(index);
    let t = own - p.first;
    let counted = counts(own, t);
    if all(counted == I(0)) {
        store_out(index, V(0.0));
        return;
    }
#endif
    let at = place(i32(index / width % height), i32(index % width) * LANES);
    let plane = u32(p.rows.input * p.columns.input);
    let start = index / width / height * p.channels * plane;
#if MARGIN
    var loss = V(0.0);
    for (var c = 0u; c < p.channels; c++) {
        let z = logit(start + c * plane, at);
        loss -= log_sigmoid(select(-z, z, t == I(i32(c))));
    }
    store_out(index, select(V(0.0), loss, counted == I(1)));
#else
    var largest = logit(start, at);
    var sum = V(1.0);
#if CROSS_ENTROPY
    var target_logit = largest;
#endif
    for (var c = 1u; c < p.channels; c++) {
        let z = logit(start + c * plane, at);
        let larger = max(largest, z);
        sum = sum * exp(largest - larger) + exp(z - larger);
        largest = larger;
#if CROSS_ENTROPY
        target_logit = select(target_logit, z, t == I(i32(c)));
#endif
    }
#if CROSS_ENTROPY
    store_out(index, select(V(0.0), log(sum) + (largest - target_logit), counted == I(1)));
#else
    store_out(index, log(sum) + largest);
#endif
#endif
}
