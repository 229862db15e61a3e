// Matrix product of strided operands.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// One invocation computes a tile of 4×4 results, or 8 rows (TALL) or 8 columns (WIDE), and walks k by fours; z counts
// (split s, batch b). A larger tile loads less per product. On software devices that is all, since loads of workgroup
// memory cost as much there as global ones. SHARED is for graphics cards: a workgroup computes 64×64 results, 8×8 an
// invocation, and brings 64×16 of a and 16×64 of b into workgroup memory at a time, each invocation 4×4 of both.
// Each operand is read by fours where one of its axes is contiguous and aligned (A_ALONG_K, A_ALONG_M, B_ALONG_K,
// B_ALONG_N), else element by element with zeros outside.
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

#if TALL
const ROWS = 8u;
#else
const ROWS = 4u;
#endif
#if WIDE
const COLUMNS = 8u;
#else
const COLUMNS = 4u;
#endif

// Four neighbours from `first`, none beyond the last of `count`.
fn four(first: u32, count: u32) -> vec4<u32> {
    return min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u));
}

// Adds the product of a 4×4 block of a (element [k][i]) and of b (element [k][j]) to sum (element [i][j]).
fn multiply(sum: mat4x4<f32>, ak: mat4x4<f32>, bk: mat4x4<f32>) -> mat4x4<f32> {
    return sum + bk * transpose(ak);
}

fn store(sum: mat4x4<f32>, start: u32, i0: u32, j0: u32) {
    for (var r = 0u; r < 4u; r++) {
        if i0 + r >= p.m { break; }
        let row = start + (i0 + r) * p.out_row;
#if OUT_VECTOR
        if j0 >= p.n { break; }
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

#if SHARED
const SIDE = 64u;
const STEP = 16u;
// Four rows of a, or columns of b, at one k: [k][row / 4].
var<workgroup> a_part: array<vec4<f32>, 256>;
var<workgroup> b_part: array<vec4<f32>, 256>;

// Adds the outer product of a column of four and a row of four to sum (element [i][j]).
fn outer(sum: mat4x4<f32>, column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return sum + mat4x4<f32>(column.x * row, column.y * row, column.z * row, column.w * row);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let columns = (p.n + SIDE - 1u) / SIDE;
    let index = workgroup_index(group, groups);
    if index >= columns * ((p.m + SIDE - 1u) / SIDE) { return; }
    let j0 = (index % columns) * SIDE + lane % 8u * COLUMNS;
    let i0 = (index / columns) * SIDE + lane / 8u * ROWS;
    let layer = group.z;
#else
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let columns = (p.n + COLUMNS - 1u) / COLUMNS;
    let index = invocation_index(id, groups);
    if index >= columns * ((p.m + ROWS - 1u) / ROWS) { return; }
    let j0 = (index % columns) * COLUMNS;
    let i0 = (index / columns) * ROWS;
    let layer = id.z;
#endif

    let batch = layer % p.batches;
    let split = layer / p.batches;
    let batch0 = batch / p.batch1;
    let batch1 = batch % p.batch1;
    let a_start = batch0 * p.a_batch0 + batch1 * p.a_batch1;
    let b_start = batch0 * p.b_batch0 + batch1 * p.b_batch1;
    let start = split * p.split_step + batch0 * p.out_batch0 + batch1 * p.out_batch1;

    let end = min((split + 1u) * p.chunk, p.k);
    var sum = mat4x4<f32>();
#if TALL
    var sum_below = mat4x4<f32>();
#endif
#if WIDE
    var sum_right = mat4x4<f32>();
#if TALL
    var sum_corner = mat4x4<f32>();
#endif
#endif

#if SHARED
    let part = lane % 16u;
    let i = four((index / columns) * SIDE + 4u * part, p.m);
    let j = four((index % columns) * SIDE + 4u * part, p.n);
    let k_part = lane / 16u * 4u;
    for (var k = split * p.chunk; k < end; k += STEP) {
        // Beyond the end of the sum everything is 0.
        var ak = mat4x4<f32>();
        var bk = mat4x4<f32>();
        if k + k_part < end {
            ak = load_a(a_start, i, k + k_part, end);
            bk = load_b(b_start, j, k + k_part, end);
        }
        for (var step = 0u; step < 4u; step++) {
            a_part[(k_part + step) * 16u + part] = ak[step];
            b_part[(k_part + step) * 16u + part] = bk[step];
        }
        workgroupBarrier();
        for (var step = 0u; step < STEP; step++) {
            let above = a_part[step * 16u + lane / 8u * 2u];
            let below = a_part[step * 16u + lane / 8u * 2u + 1u];
            let left = b_part[step * 16u + lane % 8u * 2u];
            let right = b_part[step * 16u + lane % 8u * 2u + 1u];
            sum = outer(sum, above, left);
            sum_below = outer(sum_below, below, left);
            sum_right = outer(sum_right, above, right);
            sum_corner = outer(sum_corner, below, right);
        }
        workgroupBarrier();
    }
#else
    let i = four(i0, p.m);
    let j = four(j0, p.n);
#if TALL
    let below = four(i0 + 4u, p.m);
#endif
#if WIDE
    let right = four(j0 + 4u, p.n);
#endif
    for (var k = split * p.chunk; k < end; k += 4u) {
        let ak = load_a(a_start, i, k, end);
        let bk = load_b(b_start, j, k, end);
        sum = multiply(sum, ak, bk);
#if TALL
        let ak_below = load_a(a_start, below, k, end);
        sum_below = multiply(sum_below, ak_below, bk);
#endif
#if WIDE
        let bk_right = load_b(b_start, right, k, end);
        sum_right = multiply(sum_right, ak, bk_right);
#if TALL
        sum_corner = multiply(sum_corner, ak_below, bk_right);
#endif
#endif
    }
#endif
    store(sum, start, i0, j0);
#if TALL
    store(sum_below, start, i0 + 4u, j0);
#endif
#if WIDE
    store(sum_right, start, i0, j0 + 4u);
#if TALL
    store(sum_corner, start, i0 + 4u, j0 + 4u);
#endif
#endif
}
