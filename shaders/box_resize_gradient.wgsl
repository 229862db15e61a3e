// Transpose of box_resize.wgsl: grad [batch, height, width, channels] to out [batch, in_height, in_width, channels].
//
//   out[b, i, j, c] = Σ over cells (y, x) of `destination` of the weight with which they read (i, j), times
//                     grad[b, y, x, c]; 0 outside `source`
//
// Weights are the forward's, in the same integers; cells of `destination` beyond grad are ignored. Where one invocation
// might visit too many cells, a launch adds the rows from p.begin to p.end, and the next ones continue (CONTINUED).
// One invocation computes one result, or four neighbours along the channels (VALUE = vec4<f32>). Every sum runs over y
// and x in order: deterministic.
#include "common/index.wgsl"

#read grad: array<Value>
#include "common/rectangle.wgsl"
#if CONTINUED
#update out: array<Value>
#else
#write out: array<Value>
#endif

// The readers of cell i among the cells from `begin` to `end` of an axis on which the rectangle starts at `start`.
fn readers_within(axis: Axis, i: i32, start: i32, begin: u32, end: u32) -> vec2<i32> {
    let all_readers = readers(axis, i);
    return vec2<i32>(max(all_readers.x, i32(begin) - start), min(all_readers.y, i32(end) - start));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.in_height * p.in_width * p.channels { return; }
    let own = place(index, p.in_height, p.in_width);
    let c = own.channel;
    let b = own.image;
    let from_box = source[b];
    let to_box = destination[b];
    let i = own.at - from_box.xy;
    if any(i < vec2<i32>(0)) || any(i >= from_box.zw) || any(to_box.zw < vec2<i32>(1)) {
#if CONTINUED
#else
        store_out(index, Value(0.0));
#endif
        return;
    }

    let rows = axis_of(from_box.z, to_box.z);
    let columns = axis_of(from_box.w, to_box.w);
    let down = readers_within(rows, i.x, to_box.x, p.begin, p.end);
    let across = readers_within(columns, i.y, to_box.y, 0u, p.width);
#if CONTINUED
    if down.x >= down.y { return; }
    var sum = load_out(index);
#else
    var sum = Value(0.0);
#endif
    for (var y = down.x; y < down.y; y++) {
        let start = (b * p.height + u32(to_box.x + y)) * p.width;
        var row = Value(0.0);
        for (var x = across.x; x < across.y; x++) {
            row += reads(columns, x, i.y) * load_grad((start + u32(to_box.y + x)) * p.channels + c);
        }
        sum += reads(rows, y, i.x) * row;
    }
    store_out(index, sum);
}
