// Gradient of softmax along the rows of its result y [rows, C].
//
//   dx[r, c] = scale · y[r, c] · (grad[r, c] - Σ_c grad[r, c] · y[r, c])
//
// The lanes of a row add up their parts of the sum in order, then write the row. V is four neighbours where C allows.
#include "common/rows.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, scale: f32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<V>;
@group(0) @binding(2) var<storage, read> grad: array<V>;
@group(0) @binding(3) var<storage, read_write> dx: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    // All lanes stay to the end, those without a row with nothing to walk.
    let index = invocation_index(id, groups);
    let row = min(index / LANES, p.rows - 1u);
    let end = select(0u, p.width, index / LANES < p.rows);
    let start = row * p.width;
    var products = V(0.0);
    for (var i = lane % LANES; i < end; i += LANES) { products += grad[start + i] * y[start + i]; }
#if VECTOR
    tell(vec3<f32>(dot(products, vec4<f32>(1.0)), 0.0, 0.0), lane);
#else
    tell(vec3<f32>(products, 0.0, 0.0), lane);
#endif
    let sum = total_of(lane).x;
    for (var i = lane % LANES; i < end; i += LANES) {
        dx[start + i] = p.scale * y[start + i] * (grad[start + i] - sum);
    }
}
