// Bilinear resize of a rectangle of x [batch, in_height, in_width, channels] onto a rectangle of
// out [batch, height, width, channels].
//
//   out[b, y, x, c] = bilinear value, within rectangle `source` of x, at the position of (y, x) within `destination`;
//                     0 outside `destination`
//
// Rectangles [batch, (y, x, height, width)] are data; neighbours beyond `source` are replaced by its border.
// One invocation computes one output, or four neighbours along the channels (VALUE = vec4<f32>): deterministic.
#include "common/index.wgsl"

#read x: array<Value>
#include "common/rectangle.wgsl"
#write out: array<Value>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.height * p.width * p.channels { return; }
    let own = place(index, p.height, p.width);
    let c = own.channel;
    let b = own.image;
    let size = vec2<i32>(i32(p.in_height), i32(p.in_width));
    let to_box = destination[b];
    let d = own.at - to_box.xy;
    if any(d < vec2<i32>(0)) || any(d >= to_box.zw) {
        store_out(index, Value(0.0));
        return;
    }

    let from_box = source[b];
    let rows = axis_of(max(from_box.z, 1), to_box.z);
    let columns = axis_of(max(from_box.w, 1), to_box.w);
    let y = position(rows, d.x);
    let x_at = position(columns, d.y);
    let row = cell(rows, y);
    let column = cell(columns, x_at);
    // Rectangles are clipped to x.
    let first = clamp(from_box.xy + vec2<i32>(row, column), vec2<i32>(0), size - 1);
    let next = vec2<i32>(min(row + 1, rows.input - 1), min(column + 1, columns.input - 1));
    let last = clamp(from_box.xy + next, vec2<i32>(0), size - 1);
    let above = (b * p.in_height + u32(first.x)) * p.in_width;
    let below = (b * p.in_height + u32(last.x)) * p.in_width;
    let left = u32(first.y);
    let right = u32(last.y);
    let t = fraction(rows, y, row);
    let a0 = load_x((above + left) * p.channels + c);
    let a1 = load_x((above + right) * p.channels + c);
    let l = a0 + t * (load_x((below + left) * p.channels + c) - a0);
    let r = a1 + t * (load_x((below + right) * p.channels + c) - a1);
    store_out(index, l + fraction(columns, x_at, column) * (r - l));
}
