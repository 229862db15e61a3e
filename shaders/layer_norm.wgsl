// Normalises the rows of x [rows, C].
//
//   y[r, c] = (x[r, c] - mean[r]) · rstd[r] · gamma[c] + beta[c], (mean, rstd) = statistics[r]
//
// `parts` invocations share a row, each taking every parts-th element (or four neighbours, if C allows).
// Every output is independent: nothing depends on scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, parts: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#read statistics: array<vec2<f32>>
#read gamma: array<V>
#read beta: array<V>
#write y: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let row = index / p.parts;
    if row >= p.rows { return; }
    let start = row * p.width;
    let own = load_statistics(row);
    for (var i = index % p.parts; i < p.width; i += p.parts) {
        store_y(start + i, (load_x(start + i) - own.x) * own.y * load_gamma(i) + load_beta(i));
    }
}
