// Mean and squared distance from it, per column of x [rows, C] and chunk of rows.
//
//   partial[chunk, 0, c] = mean over the chunk of x[r, c]
//   partial[chunk, 1, c] = Σ over the chunk of (x[r, c] - mean)²
//
// One invocation reads one column (or four neighbours) of one chunk once (Welford), as differences from its first
// value, so that columns far from zero keep their precision. batch_statistics_merge.wgsl merges the chunks in order.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params { rows: u32, width: u32, chunk: u32, chunks: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<V>
#write partial: array<V>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.width * p.chunks { return; }
    let c = index % p.width;
    let chunk = index / p.width;
    let begin = chunk * p.chunk;
    let end = min(begin + p.chunk, p.rows);
    let first = load_x(begin * p.width + c);
    var offset = V(0.0);
    var spread = V(0.0);
    var count = 0.0;
    for (var r = begin; r < end; r++) {
        let value = load_x(r * p.width + c) - first;
        count += 1.0;
        let apart = value - offset;
        offset += apart / count;
        spread += apart * (value - offset);
    }
    store_partial(chunk * 2u * p.width + c, first + offset);
    store_partial((chunk * 2u + 1u) * p.width + c, spread);
}
