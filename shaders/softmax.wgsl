// Softmax along the rows of x [rows, C].
//
//   y[r, c] = exp(scale · x[r, c] - m) / Σ_c exp(scale · x[r, c] - m),  m = max_c scale · x[r, c]
//
// One pass over the lane's part of a row carries the largest value so far and the sum relative to it (four of each side
// by side with VECTOR); those of all lanes are merged, and one pass writes the row. The order of every sum is fixed.
#include "common/rows.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read_write> y: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    // All lanes stay to the end, those without a row with nothing to walk.
    let index = invocation_index(id, groups);
    let row = min(index / LANES, p.rows - 1u);
    let end = select(0u, p.width, index / LANES < p.rows);
    let start = row * p.width;
    var largest = V(-3e38);
    var sum = V(0.0);
    for (var i = lane % LANES; i < end; i += LANES) {
        let value = x[start + i] * p.scale;
        let next = max(largest, value);
        sum = sum * exp(largest - next) + exp(value - next);
        largest = next;
    }
#if VECTOR
    let own = max(max(largest.x, largest.y), max(largest.z, largest.w));
    tell(vec3<f32>(own, dot(sum, exp(largest - own)), 0.0), lane);
#else
    tell(vec3<f32>(largest, sum, 0.0), lane);
#endif
    var m = told(0u, lane).x;
    for (var i = 1u; i < LANES; i++) { m = max(m, told(i, lane).x); }
    var total = 0.0;
    for (var i = 0u; i < LANES; i++) { total += told(i, lane).y * exp(told(i, lane).x - m); }
    let share = 1.0 / total;
    for (var i = lane % LANES; i < end; i += LANES) {
        y[start + i] = exp(x[start + i] * p.scale - m) * share;
    }
}
