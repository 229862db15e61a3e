// Matrix product of strided operands.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// One invocation computes a 4×4 tile and walks k by fours; z counts (split s, batch b). No workgroup memory: on
// software devices its loads cost as much as global ones. Each operand is read by fours where one of its axes is
// contiguous and aligned (A_ALONG_K, A_ALONG_M, B_ALONG_K, B_ALONG_N), else element by element with zeros outside.
// Rows and columns beyond m and n are computed from clamped addresses and not stored.
// Every sum runs over k in order: the result does not depend on scheduling.
#include "common/index.wgsl"

struct Params {
    m: u32, n: u32, k: u32, chunk: u32, batch1: u32, batches: u32,
    a_batch0: u32, a_batch1: u32, a_row: u32, a_column: u32,
    b_batch0: u32, b_batch1: u32, b_row: u32, b_column: u32,
    out_batch0: u32, out_batch1: u32, out_row: u32, out_column: u32,
    split_step: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<$A_ELEMENT>;
@group(0) @binding(2) var<storage, read> b: array<$B_ELEMENT>;
#if BIAS
@group(0) @binding(3) var<storage, read> bias: array<$OUT_ELEMENT>;
@group(0) @binding(4) var<storage, read_write> out: array<$OUT_ELEMENT>;
#else
@group(0) @binding(3) var<storage, read_write> out: array<$OUT_ELEMENT>;
#endif

// Four columns k of four rows i of a: element [k][i].
fn load_a(start: u32, i: vec4<u32>, k: u32, end: u32) -> mat4x4<f32> {
#if A_ALONG_K
    let r0 = a[(start + i.x * p.a_row + k) / 4u];
    let r1 = a[(start + i.y * p.a_row + k) / 4u];
    let r2 = a[(start + i.z * p.a_row + k) / 4u];
    let r3 = a[(start + i.w * p.a_row + k) / 4u];
    return transpose(mat4x4<f32>(r0, r1, r2, r3));
#else
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let inside = k + step < end;
        let at = start + min(k + step, end - 1u) * p.a_column;
#if A_ALONG_M
        let column = a[(at + min(i.x, p.m - 4u)) / 4u];
#else
        let column = vec4<f32>(a[at + i.x * p.a_row], a[at + i.y * p.a_row], a[at + i.z * p.a_row], a[at + i.w * p.a_row]);
#endif
        tile[step] = select(vec4<f32>(0.0), column, inside);
    }
    return tile;
#endif
}

// Four rows k of four columns j of b: element [k][j].
fn load_b(start: u32, j: vec4<u32>, k: u32, end: u32) -> mat4x4<f32> {
#if B_ALONG_K
    let c0 = b[(start + j.x * p.b_column + k) / 4u];
    let c1 = b[(start + j.y * p.b_column + k) / 4u];
    let c2 = b[(start + j.z * p.b_column + k) / 4u];
    let c3 = b[(start + j.w * p.b_column + k) / 4u];
    return transpose(mat4x4<f32>(c0, c1, c2, c3));
#else
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let inside = k + step < end;
        let at = start + min(k + step, end - 1u) * p.b_row;
#if B_ALONG_N
        let row = b[(at + min(j.x, p.n - 4u)) / 4u];
#else
        let row = vec4<f32>(b[at + j.x * p.b_column], b[at + j.y * p.b_column], b[at + j.z * p.b_column], b[at + j.w * p.b_column]);
#endif
        tile[step] = select(vec4<f32>(0.0), row, inside);
    }
    return tile;
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let columns = (p.n + 3u) / 4u;
    let index = invocation_index(id, groups);
    if index >= columns * ((p.m + 3u) / 4u) { return; }
    let j0 = (index % columns) * 4u;
    let i0 = (index / columns) * 4u;
    let i = min(vec4<u32>(i0, i0 + 1u, i0 + 2u, i0 + 3u), vec4<u32>(p.m - 1u));
    let j = min(vec4<u32>(j0, j0 + 1u, j0 + 2u, j0 + 3u), vec4<u32>(p.n - 1u));

    let batch = id.z % p.batches;
    let split = id.z / p.batches;
    let batch0 = batch / p.batch1;
    let batch1 = batch % p.batch1;
    let a_start = batch0 * p.a_batch0 + batch1 * p.a_batch1;
    let b_start = batch0 * p.b_batch0 + batch1 * p.b_batch1;

    var sum = mat4x4<f32>();
    let end = min((split + 1u) * p.chunk, p.k);
    for (var k = split * p.chunk; k < end; k += 4u) {
        let at = load_a(a_start, i, k, end);
        let bt = load_b(b_start, j, k, end);
        sum[0] += bt * vec4<f32>(at[0].x, at[1].x, at[2].x, at[3].x);
        sum[1] += bt * vec4<f32>(at[0].y, at[1].y, at[2].y, at[3].y);
        sum[2] += bt * vec4<f32>(at[0].z, at[1].z, at[2].z, at[3].z);
        sum[3] += bt * vec4<f32>(at[0].w, at[1].w, at[2].w, at[3].w);
    }

    let start = split * p.split_step + batch0 * p.out_batch0 + batch1 * p.out_batch1;
    for (var r = 0u; r < 4u; r++) {
        if i0 + r >= p.m { break; }
        let row = start + (i0 + r) * p.out_row;
#if OUT_VECTOR
#if BIAS
        out[(row + j0) / 4u] = sum[r] + bias[j0 / 4u];
#else
        out[(row + j0) / 4u] = sum[r];
#endif
#else
        for (var c = 0u; c < 4u; c++) {
            if j0 + c >= p.n { break; }
#if BIAS
            out[row + (j0 + c) * p.out_column] = sum[r][c] + bias[j0 + c];
#else
            out[row + (j0 + c) * p.out_column] = sum[r][c];
#endif
        }
#endif
    }
}
