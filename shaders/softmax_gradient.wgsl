// Gradient of softmax along the rows of its result y [rows, C].
//
//   dx[r, c] = scale · y[r, c] · (grad[r, c] - Σ_c grad[r, c] · y[r, c])
//
// One invocation per row: the sum in order, then the row. V is four neighbours where C allows.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<V>;
@group(0) @binding(2) var<storage, read> grad: array<V>;
@group(0) @binding(3) var<storage, read_write> dx: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if row >= p.rows { return; }
    let start = row * p.width;
    var products = V(0.0);
    for (var i = 0u; i < p.width; i++) { products += grad[start + i] * y[start + i]; }
#if VECTOR
    let sum = dot(products, vec4<f32>(1.0));
#else
    let sum = products;
#endif
    for (var i = 0u; i < p.width; i++) {
        dx[start + i] = p.scale * y[start + i] * (grad[start + i] - sum);
    }
}
