// Softmax along the rows of x [rows, C].
//
//   y[r, c] = exp(scale · x[r, c] - m) / Σ_c exp(scale · x[r, c] - m),  m = max_c scale · x[r, c]
//
// One pass over the lane's part of a row keeps the largest value so far and the sum relative to it (four of each side
// by side with VECTOR); those of all lanes are merged, and one pass writes the row. The order of every sum is fixed.
#include "common/rows.wgsl"

struct Params { rows: u32, width: u32, scale: f32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#write y: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let own = walk(invocation_index(id, groups), lane);
    let start = own.start;
    var largest = V(-3e38);
    var sum = V(0.0);
    for (var i = own.first; i < own.end; i += LANES) {
        let value = load_x(start + i) * p.scale;
        let next = max(largest, value);
        sum = sum * exp(largest - next) + exp(value - next);
        largest = next;
    }
#if VECTOR
    let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
    share(vec3<f32>(top, dot(sum, exp(largest - top)), 0.0), lane);
#else
    share(vec3<f32>(largest, sum, 0.0), lane);
#endif
    var m = shared_by(0u, lane).x;
    for (var i = 1u; i < LANES; i++) { m = max(m, shared_by(i, lane).x); }
    var total = 0.0;
    for (var i = 0u; i < LANES; i++) { total += shared_by(i, lane).y * exp(shared_by(i, lane).x - m); }
    let factor = 1.0 / total;
    for (var i = own.first; i < own.end; i += LANES) {
        store_y(start + i, exp(load_x(start + i) * p.scale - m) * factor);
    }
}
