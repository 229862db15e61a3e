// Gradients of attention.wgsl, recomputed from its operands. For every image and head, with grad [N] the gradient of
// the output, L[n] = log Σ_m exp(s[n, m]) and D[n] = grad[n] · out[n]:
//
//   w[n, m] = exp(s[n, m] − L[n]),   s[n, m] = scale · q[n] · k[m]
//   d[n, m] = scale · w[n, m] · (grad[n] · v[m] − D[n])
//   of queries (SLOPE):       out[n] = Σ_m d[n, m] · k[m]      with a = q, b = k, a_value = grad, b_value = v
//   of keys (SLOPE, KEYS):    out[m] = Σ_n d[n, m] · q[n]      with a = k, b = q, a_value = v,    b_value = grad
//   of values (KEYS):         out[m] = Σ_n w[n, m] · grad[n]   with a = k, b = q,                 b_value = grad
//
// Rows are those of the result: queries, or keys (KEYS).
// An invocation gathers its rows over the columns of one chunk in order; z counts (chunk, image, head), and the partial
// results of the chunks, which are contiguous, are added in order afterwards. Deterministic, no atomics.
#include "common/index.wgsl"

@group(0) @binding(0) var<uniform> p: Params;
#read a: array<vec4<f32>>
#read b: array<vec4<f32>>
#read b_value: array<vec4<f32>>
#read log_sum: array<f32>
#if SLOPE
#read a_value: array<vec4<f32>>
#read product: array<f32>
#endif
#write out: array<vec4<f32>>

#include "common/attention.wgsl"

// Four of b at eight columns, for channels c: the first four columns, the last four.
fn near_columns(at: array<u32, 8>, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(load_b(at[0] + c), load_b(at[1] + c), load_b(at[2] + c), load_b(at[3] + c));
}

fn far_columns(at: array<u32, 8>, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(load_b(at[4] + c), load_b(at[5] + c), load_b(at[6] + c), load_b(at[7] + c));
}

// The same of b_value.
fn near_columns_of_value(at: array<u32, 8>, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(load_b_value(at[0] + c), load_b_value(at[1] + c),
                       load_b_value(at[2] + c), load_b_value(at[3] + c));
}

fn far_columns_of_value(at: array<u32, 8>, c: u32) -> mat4x4<f32> {
    return mat4x4<f32>(load_b_value(at[4] + c), load_b_value(at[5] + c),
                       load_b_value(at[6] + c), load_b_value(at[7] + c));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first_row = invocation_index(id, groups) * ROWS;
    if first_row >= p.rows { return; }
    let split = (id.z + p.first_layer) / p.layers;
    let layer = (id.z + p.first_layer) % p.layers;
    let batch = layer / p.heads;
    let head = layer % p.heads;
    let end = min((split + 1u) * p.chunk, p.columns);
    var rows = row_starts(batch, head, first_row);
    var sums: array<vec4<f32>, ROWS * CHUNKS>;
    for (var first = split * p.chunk; first < end; first += 8u) {
        var at = column_starts(batch, head, first);
        var s: Tile;
#if SLOPE
        var d: Tile;
#endif
        for (var c = 0u; c < CHUNKS; c++) {
            let near = near_columns(at, c);
            let far = far_columns(at, c);
            for (var r = 0u; r < ROWS; r++) {
                let x = load_a(rows[r] + c);
                s.near[r] += x * near;
                s.far[r] += x * far;
            }
#if SLOPE
            let near_value = near_columns_of_value(at, c);
            let far_value = far_columns_of_value(at, c);
            for (var r = 0u; r < ROWS; r++) {
                let x = load_a_value(rows[r] + c);
                d.near[r] += x * near_value;
                d.far[r] += x * far_value;
            }
#endif
        }
        var inside = before(end, first);
#if KEYS
        // Statistics of eight queries.
        var logs: array<vec4<f32>, 2>;
        var products: array<vec4<f32>, 2>;
        for (var j = 0u; j < 8u; j++) {
            let query = (batch * p.columns + min(first + j, p.columns - 1u)) * p.heads + head;
            logs[j / 4u][j % 4u] = load_log_sum(query);
#if SLOPE
            products[j / 4u][j % 4u] = load_product(query);
#endif
        }
#endif
        for (var r = 0u; r < ROWS; r++) {
#if KEYS
#else
            let query = (batch * p.rows + min(first_row + r, p.rows - 1u)) * p.heads + head;
            let logs = array<vec4<f32>, 2>(vec4<f32>(load_log_sum(query)), vec4<f32>(load_log_sum(query)));
            let products = array<vec4<f32>, 2>(vec4<f32>(load_product(query)), vec4<f32>(load_product(query)));
#endif
            s.near[r] = select(vec4<f32>(0.0), exp(p.scale * s.near[r] - logs[0]), inside[0]);
            s.far[r] = select(vec4<f32>(0.0), exp(p.scale * s.far[r] - logs[1]), inside[1]);
#if SLOPE
            s.near[r] *= p.scale * (d.near[r] - products[0]);
            s.far[r] *= p.scale * (d.far[r] - products[1]);
#endif
        }
        for (var c = 0u; c < CHUNKS; c++) {
#if SLOPE
            let near = near_columns(at, c);
            let far = far_columns(at, c);
#else
            let near = near_columns_of_value(at, c);
            let far = far_columns_of_value(at, c);
#endif
            for (var r = 0u; r < ROWS; r++) {
                sums[r * CHUNKS + c] += near * s.near[r] + far * s.far[r];
            }
        }
    }
    for (var r = 0u; r < ROWS; r++) {
        if first_row + r >= p.rows { break; }
        let start = split * (p.layers / p.heads) * p.rows * p.width + rows[r];
        for (var c = 0u; c < CHUNKS; c++) { store_out(start + c, sums[r * CHUNKS + c]); }
    }
}
