// attention.wgsl for graphics cards, with the same results:
//
//   s[n, m] = scale · q[n] · k[m]
//   OUTPUT:      out[n] = Σ_m exp(s[n, m] − L[n]) · v[m]     with L[n] = log Σ_m exp(s[n, m])
//   STATISTICS:  out[n] = L[n]
//
// A workgroup iterates over the columns m, 32 at a time, for 32 rows n. For its rows, each invocation keeps the largest
// score so far, the sum of exponentials of its columns, and the weighted values of its channels relative to it. All sums
// have a fixed order: deterministic.
#include "common/index.wgsl"

@group(0) @binding(0) var<uniform> p: Params;
#read q: array<vec4<f32>>
#read k: array<vec4<f32>>
#if OUTPUT
#read v: array<vec4<f32>>
#write out: array<vec4<f32>>
#else
#write out: array<f32>
#endif

#include "common/attention_shared.wgsl"

// Adds the products of a vec4 of channels.
fn add_scores(sum: mat4x4<f32>, columns: vec4<u32>, rows: vec4<u32>, c: u32) -> mat4x4<f32> {
    let own = mat4x4<f32>(load_q(rows.x + c), load_q(rows.y + c), load_q(rows.z + c), load_q(rows.w + c));
    let other = mat4x4<f32>(load_k(columns.x + c), load_k(columns.y + c), load_k(columns.z + c), load_k(columns.w + c));
    return add_products(sum, other, own);
}

// For four rows, the i-th, what eight invocations found in their columns, the j-th: [j][i].
var<workgroup> found: array<vec4<f32>, WORKGROUP>;

// Scales the sums of four rows.
fn scaled(sums: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(sums[0] * by.x, sums[1] * by.y, sums[2] * by.z, sums[3] * by.w);
}

#if OUTPUT
fn store_four(first: u32, rows: vec4<u32>, c: u32, sums: mat4x4<f32>) {
    if c >= CHUNKS { return; }
    if first < p.rows { store_out(rows.x + c, sums[0]); }
    if first + 1u < p.rows { store_out(rows.y + c, sums[1]); }
    if first + 2u < p.rows { store_out(rows.z + c, sums[2]); }
    if first + 3u < p.rows { store_out(rows.w + c, sums[3]); }
}
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let tile = workgroup_index(group, groups);
    if tile * SIDE >= p.rows { return; }
    let layer = group.z + p.first_layer;
    let batch = layer / p.heads;
    let head = layer % p.heads;
    let i = lane % 8u;
    let j = lane / 8u;
    let first_row = tile * SIDE + 4u * i;
    let rows = starts(batch, head, first_row, p.rows);
    var largest = vec4<f32>(-3e38);
    var total = vec4<f32>(0.0);
#if OUTPUT
    let begin = batch * p.columns * p.width + head * CHUNKS + min(j, CHUNKS - 1u);
    var near = mat4x4<f32>();
#if WIDE
    let beside = min(j + 8u, CHUNKS - 1u) - j;
    var far = mat4x4<f32>();
#endif
#endif
    for (var first = 0u; first < p.columns; first += SIDE) {
        let columns = starts(batch, head, first + 4u * j, p.columns);
        var s = scores(columns, rows);
        let column = first + 4u * j;
        s[0] = select(vec4<f32>(-3e38), p.scale * s[0], column < p.columns);
        s[1] = select(vec4<f32>(-3e38), p.scale * s[1], column + 1u < p.columns);
        s[2] = select(vec4<f32>(-3e38), p.scale * s[2], column + 2u < p.columns);
        s[3] = select(vec4<f32>(-3e38), p.scale * s[3], column + 3u < p.columns);
        found[lane] = max(max(s[0], s[1]), max(s[2], s[3]));
        workgroupBarrier();
        var next = largest;
        for (var other = i; other < WORKGROUP; other += 8u) { next = max(next, found[other]); }
        let keep = exp(largest - next);
        largest = next;
        s = mat4x4<f32>(exp(s[0] - next), exp(s[1] - next), exp(s[2] - next), exp(s[3] - next));
        total = fma(total, keep, (s[0] + s[1]) + (s[2] + s[3]));
#if OUTPUT
        share(i, j, s);
        workgroupBarrier();
        near = scaled(near, keep);
#if WIDE
        far = scaled(far, keep);
#endif
        for (var m = 0u; m < min(SIDE, p.columns - first); m += 4u) {
            let at = four_columns(begin, first + m, p.columns);
            let w0 = weights[m / 4u][0][i];
            let w1 = weights[m / 4u][1][i];
            let w2 = weights[m / 4u][2][i];
            let w3 = weights[m / 4u][3][i];
            near = add_weighted(near, w0, load_v(at.x));
            near = add_weighted(near, w1, load_v(at.y));
            near = add_weighted(near, w2, load_v(at.z));
            near = add_weighted(near, w3, load_v(at.w));
#if WIDE
            far = add_weighted(far, w0, load_v(at.x + beside));
            far = add_weighted(far, w1, load_v(at.y + beside));
            far = add_weighted(far, w2, load_v(at.z + beside));
            far = add_weighted(far, w3, load_v(at.w + beside));
#endif
        }
#else
        workgroupBarrier();
#endif
    }
    found[lane] = total;
    workgroupBarrier();
    total = vec4<f32>(0.0);
    for (var other = i; other < WORKGROUP; other += 8u) { total += found[other]; }
#if OUTPUT
    store_four(first_row, rows, j, scaled(near, 1.0 / total));
#if WIDE
    store_four(first_row, rows, j + 8u, scaled(far, 1.0 / total));
#endif
#else
    // One of the eight invocations of every four rows stores each of them.
    if j < 4u && first_row + j < p.rows {
        let logs = largest + log(total);
        store_out((batch * p.rows + first_row + j) * p.heads + head, logs[j]);
    }
#endif
}
