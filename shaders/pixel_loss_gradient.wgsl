// Gradient of pixel_loss.wgsl with respect to its logits x [batch, channels, rows.input, columns.input], gathered along
// the columns, for grad [batch, rows.output, columns.output]; z are the logits of the pixels, t = label − first:
//
//   out[b, c, y, j] = Σ over pixels d of row y of reads(d, j) · slope_c(d) · grad[b, y, d]
//   MARGIN:         slope_c = σ(z_c) − h with h = 1 where c = t, else 0
//   CROSS_ENTROPY:  slope_c = exp(z_c − log_sum) − h
//   both 0 where label = 255 or t is not a channel.
//
// resize_gradient.wgsl then gathers along the rows. One invocation computes one result from the pixels that read
// column j, in order, one or four at a time (FOURS): deterministic.
#include "common/index.wgsl"
#include "common/pixels.wgsl"

#read x: array<f32>
#read label: array<I>
#read grad: array<V>
#if CROSS_ENTROPY
#read log_sum: array<V>
#endif
#write out: array<f32>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let width = u32(p.columns.input);
    let height = u32(p.rows.output);
    if index >= p.batch * p.channels * height * width { return; }
    let j = i32(index % width);
    let line = index / width % height;
    let map = index / width / height;
    let c = i32(map % p.channels);

    // The logits of this row in the columns next to j.
    let y = position(p.rows, i32(line));
    let row = cell(p.rows, y);
    let down = fraction(p.rows, y, row);
    let above = (map * u32(p.rows.input) + u32(row)) * width;
    let below = (map * u32(p.rows.input) + u32(min(row + 1, p.rows.input - 1))) * width;
    let columns = vec3<u32>(vec3<i32>(max(j - 1, 0), j, min(j + 1, p.columns.input - 1)));
    let upper = vec3<f32>(load_x(above + columns.x), load_x(above + columns.y), load_x(above + columns.z));
    let lower = vec3<f32>(load_x(below + columns.x), load_x(below + columns.y), load_x(below + columns.z));
    let z = upper + down * (lower - upper);

    let near = readers(p.columns, j);
    let start = (map / p.channels * height + line) * u32(p.columns.output / LANES);
    var sum = V(0.0);
    for (var d = near.x / LANES; d * LANES < near.y; d++) {
        let at = start + u32(d);
        let own = load_label(at);
        let t = own - p.first;
#if FOURS
        let first = d * LANES;
        let offset = I(position(p.columns, first), position(p.columns, first + 1),
                       position(p.columns, first + 2), position(p.columns, first + 3)) - j * p.columns.unit;
#else
        let offset = position(p.columns, d) - j * p.columns.unit;
#endif
        // The pixel is to the right of column j, or to the left and is read from column j − 1 on.
        let right = offset >= I(0);
        let left = select(V(z.x), V(z.y), right);
        let next = select(V(z.y), V(z.z), right);
        let logits = left + V(select(offset + p.columns.unit, offset, right)) * p.columns.inverse * (next - left);
#if MARGIN
        let probability = sigmoid(logits);
#else
        let probability = exp(logits - load_log_sum(at));
#endif
        let weight = V(max(I(p.columns.unit) - abs(offset), I(0))) * p.columns.inverse;
        let slope = probability - select(V(0.0), V(1.0), t == I(c));
        let counted = counts(own, t) * select(I(0), I(1), weight > V(0.0));
        sum += select(V(0.0), weight * slope * load_grad(at), counted == I(1));
    }
#if FOURS
    store_out(index, (sum.x + sum.y) + (sum.z + sum.w));
#else
    store_out(index, sum);
#endif
}
