// Merges the chunks of batch_statistics.wgsl.
//
//   statistics[0, c] = mean of column c,  statistics[1, c] = 1/rows Σ_r (x[r, c] - mean)²
//
// One invocation per column (or four neighbours) reads the chunks in order, so the result does not depend on
// scheduling. Two sets of n and m values with means a and b and squared distances s and t become one with mean
// a + (b - a)·m/(n + m) and squared distance s + t + (b - a)²·n·m/(n + m).
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, chunk: u32, chunks: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read partial: array<V>
#write statistics: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let c = invocation_index(id, groups);
    if c >= p.width { return; }
    var mean = load_partial(c);
    var spread = load_partial(p.width + c);
    var count = f32(min(p.chunk, p.rows));
    for (var chunk = 1u; chunk < p.chunks; chunk++) {
        let more = f32(min(p.chunk, p.rows - chunk * p.chunk));
        let apart = load_partial(chunk * 2u * p.width + c) - mean;
        let share = more / (count + more);
        mean += apart * share;
        spread += load_partial((chunk * 2u + 1u) * p.width + c) + apart * apart * (count * share);
        count += more;
    }
    store_statistics(c, mean);
    store_statistics(p.width + c, spread / f32(p.rows));
}
