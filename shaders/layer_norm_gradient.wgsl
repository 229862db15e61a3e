// Gradient of layer norm with respect to x [rows, C].
//
//   h = grad[r, c] · gamma[c],  z = (x[r, c] - mean[r]) · rstd[r],  (mean, rstd) = statistics[r]
//   dx[r, c] = rstd[r] · (h - 1/C Σ_c h - z · 1/C Σ_c h·z)
//
// One invocation per row: two sums in order, then the row's results. V is four neighbours where C allows.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> gamma: array<V>;
@group(0) @binding(4) var<storage, read> grad: array<V>;
@group(0) @binding(5) var<storage, read_write> dx: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = invocation_index(id, groups);
    if row >= p.rows { return; }
    let start = row * p.width;
    let mean = statistics[row].x;
    let rstd = statistics[row].y;
    var sum_h = V(0.0);
    var sum_hz = V(0.0);
    for (var i = 0u; i < p.width; i++) {
        let h = grad[start + i] * gamma[i];
        sum_h += h;
        sum_hz += h * ((x[start + i] - mean) * rstd);
    }
#if VECTOR
    let mean_h = dot(sum_h, vec4<f32>(0.25)) / f32(p.width);
    let mean_hz = dot(sum_hz, vec4<f32>(0.25)) / f32(p.width);
#else
    let mean_h = sum_h / f32(p.width);
    let mean_hz = sum_hz / f32(p.width);
#endif
    for (var i = 0u; i < p.width; i++) {
        let h = grad[start + i] * gamma[i];
        let z = (x[start + i] - mean) * rstd;
        dx[start + i] = rstd * (h - mean_h - z * mean_hz);
    }
}
