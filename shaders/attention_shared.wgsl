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
    var at = batch * p.columns * p.width + head * CHUNKS + min(j, CHUNKS - 1u);
    let last = at + (p.columns - 1u) * p.width;
    var near = mat4x4<f32>();
#if WIDE
    let beside = min(j + 8u, CHUNKS - 1u) - j;
    var far = mat4x4<f32>();
#endif
#endif
    for (var first = 0u; first < p.columns; first += SIDE) {
        let columns = starts(batch, head, first + 4u * j, p.columns);
        var s = mat4x4<f32>();
        for (var c = 0u; c < CHUNKS; c += CHUNKS_AT_ONCE) {
            s = add_scores(s, columns, rows, c);
#if UNROLLED
            s = add_scores(s, columns, rows, c + 1u);
#endif
        }
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
            let a0 = min(at, last);
            let a1 = min(at + p.width, last);
            let a2 = min(at + 2u * p.width, last);
            let a3 = min(at + 3u * p.width, last);
            let w0 = weights[8u * m + i];
            let w1 = weights[8u * m + 8u + i];
            let w2 = weights[8u * m + 16u + i];
            let w3 = weights[8u * m + 24u + i];
            near = add_weighted(near, w0, load_v(a0));
            near = add_weighted(near, w1, load_v(a1));
            near = add_weighted(near, w2, load_v(a2));
            near = add_weighted(near, w3, load_v(a3));
#if WIDE
            far = add_weighted(far, w0, load_v(a0 + beside));
            far = add_weighted(far, w1, load_v(a1 + beside));
            far = add_weighted(far, w2, load_v(a2 + beside));
            far = add_weighted(far, w3, load_v(a3 + beside));
#endif
            at += 4u * p.width;
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
