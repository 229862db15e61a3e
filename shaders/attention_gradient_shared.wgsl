// attention_gradient.wgsl for graphics cards, with the same results:
//
//   w[n, m] = exp(s[n, m] − L[n]),   s[n, m] = scale · q[n] · k[m]
//   d[n, m] = scale · w[n, m] · (grad[n] · v[m] − D[n])
//   of queries (SLOPE):       out[n] = Σ_m d[n, m] · k[m]      with a = q, b = k, a_value = grad, b_value = v
//   of keys (SLOPE, KEYS):    out[m] = Σ_n d[n, m] · q[n]      with a = k, b = q, a_value = v,    b_value = grad
//   of values (KEYS):         out[m] = Σ_n w[n, m] · grad[n]   with a = k, b = q,                 b_value = grad
//
// Rows are those of the result: queries, or keys (KEYS).
// A workgroup gathers 32 rows over the columns of one chunk in order, 32 at a time; z counts (chunk, image, head), and
// the partial results of the chunks, which are contiguous, are added in order afterwards. Deterministic, no atomics.
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

#include "common/attention_shared.wgsl"

// Adds the products of a vec4 of channels.
fn add_scores(sum: mat4x4<f32>, columns: vec4<u32>, rows: vec4<u32>, c: u32) -> mat4x4<f32> {
    let own = mat4x4<f32>(load_a(rows.x + c), load_a(rows.y + c), load_a(rows.z + c), load_a(rows.w + c));
    let other = mat4x4<f32>(load_b(columns.x + c), load_b(columns.y + c), load_b(columns.z + c), load_b(columns.w + c));
    return add_products(sum, other, own);
}

#if SLOPE
// The same with the values.
fn add_slopes(sum: mat4x4<f32>, columns: vec4<u32>, rows: vec4<u32>, c: u32) -> mat4x4<f32> {
    let own = mat4x4<f32>(load_a_value(rows.x + c), load_a_value(rows.y + c),
                          load_a_value(rows.z + c), load_a_value(rows.w + c));
    let other = mat4x4<f32>(load_b_value(columns.x + c), load_b_value(columns.y + c),
                            load_b_value(columns.z + c), load_b_value(columns.w + c));
    return add_products(sum, other, own);
}

// Products of values of four columns and four rows.
fn slopes(columns: vec4<u32>, rows: vec4<u32>) -> mat4x4<f32> {
    var sum = mat4x4<f32>();
#if UNROLLED
    for (var c = 0u; c < CHUNKS; c += 8u) {
        // The bound tells compilers that the positions do not wrap, as MOST_FOURS does.
        let at = min(c, CHUNKS);
        sum = add_slopes(sum, columns + at, rows + at, 0u);
        sum = add_slopes(sum, columns + at, rows + at, 1u);
        sum = add_slopes(sum, columns + at, rows + at, 2u);
        sum = add_slopes(sum, columns + at, rows + at, 3u);
        sum = add_slopes(sum, columns + at, rows + at, 4u);
        sum = add_slopes(sum, columns + at, rows + at, 5u);
        sum = add_slopes(sum, columns + at, rows + at, 6u);
        sum = add_slopes(sum, columns + at, rows + at, 7u);
    }
#else
    for (var c = 0u; c < CHUNKS; c++) { sum = add_slopes(sum, columns, rows, c); }
#endif
    return sum;
}
#endif

// What is weighted and added.
fn load_weighted(at: u32) -> vec4<f32> {
#if SLOPE
    return load_b(at);
#else
    return load_b_value(at);
#endif
}

// Logarithms of the sums of four queries.
fn four_logs(batch: u32, head: u32, first: u32, count: u32) -> vec4<f32> {
    let at = (batch * count + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u)))
        * p.heads + head;
    return vec4<f32>(load_log_sum(at.x), load_log_sum(at.y), load_log_sum(at.z), load_log_sum(at.w));
}

#if SLOPE
// Products of output and gradient of four queries.
fn four_products(batch: u32, head: u32, first: u32, count: u32) -> vec4<f32> {
    let at = (batch * count + min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u)))
        * p.heads + head;
    return vec4<f32>(load_product(at.x), load_product(at.y), load_product(at.z), load_product(at.w));
}
#endif

fn store_four(first: u32, rows: vec4<u32>, c: u32, sums: mat4x4<f32>) {
    if c >= CHUNKS { return; }
    if first < p.rows { store_out(rows.x + c, sums[0]); }
    if first + 1u < p.rows { store_out(rows.y + c, sums[1]); }
    if first + 2u < p.rows { store_out(rows.z + c, sums[2]); }
    if first + 3u < p.rows { store_out(rows.w + c, sums[3]); }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let tile = workgroup_index(group, groups);
    if tile * SIDE >= p.rows { return; }
    let split = (group.z + p.first_layer) / p.layers;
    let layer = (group.z + p.first_layer) % p.layers;
    let batch = layer / p.heads;
    let head = layer % p.heads;
    let end = min((split + 1u) * p.chunk, p.columns);
    let i = lane % 8u;
    let j = lane / 8u;
    let first_row = tile * SIDE + 4u * i;
    let rows = starts(batch, head, first_row, p.rows);
#if KEYS
#else
    let row_logs = four_logs(batch, head, first_row, p.rows);
    let row_products = four_products(batch, head, first_row, p.rows);
#endif
    let begin = batch * p.columns * p.width + head * CHUNKS + min(j, CHUNKS - 1u);
    var near = mat4x4<f32>();
#if WIDE
    let beside = min(j + 8u, CHUNKS - 1u) - j;
    var far = mat4x4<f32>();
#endif
    for (var first = split * p.chunk; first < end; first += SIDE) {
        let column = first + 4u * j;
        let columns = starts(batch, head, column, p.columns);
        var s = scores(columns, rows);
        s *= p.scale;
#if KEYS
        let logs = four_logs(batch, head, column, p.columns);
        s = mat4x4<f32>(exp(s[0] - logs.x), exp(s[1] - logs.y), exp(s[2] - logs.z), exp(s[3] - logs.w));
#else
        s = mat4x4<f32>(exp(s[0] - row_logs), exp(s[1] - row_logs), exp(s[2] - row_logs), exp(s[3] - row_logs));
#endif
#if SLOPE
        // Keep the weights in workgroup memory while the slopes are computed, to free their registers. Without the barrier,
        // compilers keep them in registers, too.
        share(i, j, s);
        workgroupBarrier();
        let d = slopes(columns, rows);
        s = shared_by(i, j);
#if KEYS
        let products = four_products(batch, head, column, p.columns);
        s[0] *= p.scale * (d[0] - products.x);
        s[1] *= p.scale * (d[1] - products.y);
        s[2] *= p.scale * (d[2] - products.z);
        s[3] *= p.scale * (d[3] - products.w);
#else
        s[0] *= p.scale * (d[0] - row_products);
        s[1] *= p.scale * (d[1] - row_products);
        s[2] *= p.scale * (d[2] - row_products);
        s[3] *= p.scale * (d[3] - row_products);
#endif
#endif
        s[1] = select(vec4<f32>(0.0), s[1], column + 1u < end);
        s[2] = select(vec4<f32>(0.0), s[2], column + 2u < end);
        s[3] = select(vec4<f32>(0.0), s[3], column + 3u < end);
        share(i, j, s);
        workgroupBarrier();
        for (var m = 0u; m < min(SIDE, end - first); m += 4u) {
            let at = four_columns(begin, first + m, end);
            let w0 = weights[m / 4u][0][i];
            let w1 = weights[m / 4u][1][i];
            let w2 = weights[m / 4u][2][i];
            let w3 = weights[m / 4u][3][i];
            near = add_weighted(near, w0, load_weighted(at.x));
            near = add_weighted(near, w1, load_weighted(at.y));
            near = add_weighted(near, w2, load_weighted(at.z));
            near = add_weighted(near, w3, load_weighted(at.w));
#if WIDE
            far = add_weighted(far, w0, load_weighted(at.x + beside));
            far = add_weighted(far, w1, load_weighted(at.y + beside));
            far = add_weighted(far, w2, load_weighted(at.z + beside));
            far = add_weighted(far, w3, load_weighted(at.w + beside));
#endif
        }
        workgroupBarrier();
    }
    let start = split * (p.layers / p.heads) * p.rows * p.width;
    store_four(first_row, rows + start, j, near);
#if WIDE
    store_four(first_row, rows + start, j + 8u, far);
#endif
}
