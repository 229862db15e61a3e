// Softmax along the rows of x [rows, C].
//
//   y[r, c] = exp(scale · x[r, c] - m) / Σ_c exp(scale · x[r, c] - m),  m = max_c scale · x[r, c]
//
// One invocation per row. One pass carries the largest value so far and the sum relative to it (four of each side by
// side with VECTOR, merged at the end), one writes the row. The order of every sum is fixed.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read_write> y: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if row >= p.rows { return; }
    let start = row * p.width;
    var largest = x[start] * p.scale;
    var sum = V(1.0);
    for (var i = 1u; i < p.width; i++) {
        let value = x[start + i] * p.scale;
        let next = max(largest, value);
        sum = sum * exp(largest - next) + exp(value - next);
        largest = next;
    }
#if VECTOR
    let m = max(max(largest.x, largest.y), max(largest.z, largest.w));
    let total = dot(sum, exp(largest - m));
#else
    let m = largest;
    let total = sum;
#endif
    let share = 1.0 / total;
    for (var i = 0u; i < p.width; i++) {
        y[start + i] = exp(x[start + i] * p.scale - m) * share;
    }
}
