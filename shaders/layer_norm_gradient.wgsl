// Gradient of layer norm with respect to x [rows, C].
//
//   h = grad[r, c] · gamma[c],  z = (x[r, c] - mean[r]) · rstd[r],  (mean, rstd) = statistics[r]
//   dx[r, c] = rstd[r] · (h - 1/C Σ_c h - z · 1/C Σ_c h·z)
//
// The lanes of a row add up their parts of the two sums in order, then write the row. V is four neighbours where C
// allows.
#include "common/rows.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> gamma: array<V>;
@group(0) @binding(4) var<storage, read> grad: array<V>;
@group(0) @binding(5) var<storage, read_write> dx: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    // All lanes stay to the end, those without a row with nothing to walk.
    let index = invocation_index(id, groups);
    let row = min(index / LANES, p.rows - 1u);
    let end = select(0u, p.width, index / LANES < p.rows);
    let start = row * p.width;
    let mean = statistics[row].x;
    let rstd = statistics[row].y;
    var sum_h = V(0.0);
    var sum_hz = V(0.0);
    for (var i = lane % LANES; i < end; i += LANES) {
        let h = grad[start + i] * gamma[i];
        sum_h += h;
        sum_hz += h * ((x[start + i] - mean) * rstd);
    }
#if VECTOR
    tell(vec3<f32>(dot(sum_h, vec4<f32>(0.25)), dot(sum_hz, vec4<f32>(0.25)), 0.0), lane);
#else
    tell(vec3<f32>(sum_h, sum_hz, 0.0), lane);
#endif
    let means = total_of(lane) / f32(p.width);
    let mean_h = means.x;
    let mean_hz = means.y;
    for (var i = lane % LANES; i < end; i += LANES) {
        let h = grad[start + i] * gamma[i];
        let z = (x[start + i] - mean) * rstd;
        dx[start + i] = rstd * (h - mean_h - z * mean_hz);
    }
}
