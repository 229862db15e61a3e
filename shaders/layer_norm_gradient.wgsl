// Gradient of layer norm with respect to x [rows, C].
//
//   h = grad[r, c] · gamma[c],  z = (x[r, c] - mean[r]) · rstd[r],  (mean, rstd) = statistics[r]
//   dx[r, c] = rstd[r] · (h - 1/C Σ_c h - z · 1/C Σ_c h·z)
//
// The lanes of a row add up their parts of the two sums in order, then write the row. V is four neighbours if C
// allows.
#include "common/rows.wgsl"

struct Params { rows: u32, width: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#read statistics: array<vec2<f32>>
#read gamma: array<V>
#read grad: array<V>
#write dx: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let own = walk(invocation_index(id, groups), lane);
    let start = own.start;
    let mean = load_statistics(own.row).x;
    let rstd = load_statistics(own.row).y;
    var sum_h = V(0.0);
    var sum_hz = V(0.0);
    for (var i = own.first; i < own.end; i += LANES) {
        let h = load_grad(start + i) * load_gamma(i);
        sum_h += h;
        sum_hz += h * ((load_x(start + i) - mean) * rstd);
    }
#if VECTOR
    share(vec3<f32>(dot(sum_h, vec4<f32>(0.25)), dot(sum_hz, vec4<f32>(0.25)), 0.0), lane);
#else
    share(vec3<f32>(sum_h, sum_hz, 0.0), lane);
#endif
    let means = total_of(lane) / f32(p.width);
    let mean_h = means.x;
    let mean_hz = means.y;
    for (var i = own.first; i < own.end; i += LANES) {
        let h = load_grad(start + i) * load_gamma(i);
        let z = (load_x(start + i) - mean) * rstd;
        store_dx(start + i, rstd * (h - mean_h - z * mean_hz));
    }
}
