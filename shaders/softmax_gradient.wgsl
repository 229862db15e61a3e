// Gradient of softmax along the rows of its result y [rows, C].
//
//   dx[r, c] = scale · y[r, c] · (grad[r, c] - Σ_c grad[r, c] · y[r, c])
//
// The lanes of a row add up their parts of the sum in order, then write the row. V is four neighbours if C allows.
#include "common/rows.wgsl"

struct Params { rows: u32, width: u32, scale: f32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read y: array<V>
#read grad: array<V>
#write dx: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let own = walk(invocation_index(id, groups), lane);
    let start = own.start;
    var products = V(0.0);
    for (var i = own.first; i < own.end; i += LANES) { products += load_grad(start + i) * load_y(start + i); }
#if VECTOR
    share(vec3<f32>(dot(products, vec4<f32>(1.0)), 0.0, 0.0), lane);
#else
    share(vec3<f32>(products, 0.0, 0.0), lane);
#endif
    let sum = total_of(lane).x;
    for (var i = own.first; i < own.end; i += LANES) {
        store_dx(start + i, p.scale * load_y(start + i) * (load_grad(start + i) - sum));
    }
}
