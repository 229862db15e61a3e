// Matrix product of strided operands.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// One invocation computes a tile of 4, 8 (TALL) or 16 rows (TALLER) by 4, 8 (WIDE) or 16 columns (WIDER) and walks k by
// fours; z counts (split s, batch b). A larger tile loads less per product. On software devices that is all, since loads
// of workgroup memory cost as much there as global ones. SHARED is for graphics cards: a workgroup computes 64×64
// results, 8×8 an invocation, and brings 64×16 of a and 16×64 of b into workgroup memory at a time, each invocation 4×4
// of both.
// Each operand is read by fours where one of its axes is contiguous and aligned (A_ALONG_K, A_ALONG_M, B_ALONG_K,
// B_ALONG_N), else element by element with zeros outside. Or it is an image, read as the matrix of its patches
// (A_PATCHES, along k; B_PATCHES, along n) or written so (OUT_PATCHES).
// Rows and columns beyond m and n are computed from clamped addresses and not stored.
// Every sum runs over k in order: the result does not depend on scheduling.
#include "common/index.wgsl"
#include "common/product.wgsl"

#if PATCHES
#include "common/patches.wgsl"
#endif

// Four neighbours from `first`, none beyond the last of `count`.
fn four(first: u32, count: u32) -> vec4<u32> {
    return min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u));
}

#if A_PATCHES
alias Rows = Patches;

fn rows_from(i0: u32) -> Rows {
    return patches_from(p.a, i0, p.m);
}
#else
alias Rows = vec4<u32>;

fn rows_from(i0: u32) -> Rows {
    return four(i0, p.m);
}
#endif

// Four columns from k of four rows of a: element [k][i].
fn load_a(start: u32, i: Rows, k: u32, end: u32) -> mat4x4<f32> {
#if A_PATCHES
    let tap = divide(k, p.a.run);
    let e = elements(p.a, i, tap.x, tap.y);
    let r0 = select(vec4<f32>(0.0), a[e.at.x / 4u], e.inside.x);
    let r1 = select(vec4<f32>(0.0), a[e.at.y / 4u], e.inside.y);
    let r2 = select(vec4<f32>(0.0), a[e.at.z / 4u], e.inside.z);
    let r3 = select(vec4<f32>(0.0), a[e.at.w / 4u], e.inside.w);
    return transpose(mat4x4<f32>(r0, r1, r2, r3));
#else
#if A_ALONG_K
    let r0 = a[(start + i.x * p.a.row + k) / 4u];
    let r1 = a[(start + i.y * p.a.row + k) / 4u];
    let r2 = a[(start + i.z * p.a.row + k) / 4u];
    let r3 = a[(start + i.w * p.a.row + k) / 4u];
    return transpose(mat4x4<f32>(r0, r1, r2, r3));
#else
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let inside = k + step < end;
        let at = start + min(k + step, end - 1u) * p.a.column;
#if A_ALONG_M
        let column = a[(at + min(i.x, p.m - 4u)) / 4u];
#else
        let column = vec4<f32>(a[at + i.x * p.a.row], a[at + i.y * p.a.row], a[at + i.z * p.a.row], a[at + i.w * p.a.row]);
#endif
        tile[step] = select(vec4<f32>(0.0), column, inside);
    }
    return tile;
#endif
#endif
}

#if B_PATCHES
alias Columns = Taps;

// Where the fours from j0, j0 + 4, j0 + 8 and j0 + 12 begin in a patch.
fn columns_from(j0: u32) -> Columns {
    let j = vec4<u32>(j0, j0 + 4u, j0 + 8u, j0 + 12u);
    let down = j / p.b.run;
    return Taps(down, j - down * p.b.run);
}
#else
alias Columns = u32;

fn columns_from(j0: u32) -> Columns {
    return j0;
}
#endif

// Four rows from k of the columns of that four: element [k][j].
fn load_b(start: u32, columns: Columns, number: u32, k: u32, end: u32) -> mat4x4<f32> {
#if B_PATCHES
    let e = elements(p.b, patches_from(p.b, k, p.k), columns.down[number], columns.along[number]);
    let inside = e.inside & (vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(end));
    return mat4x4<f32>(
        select(vec4<f32>(0.0), b[e.at.x / 4u], inside.x),
        select(vec4<f32>(0.0), b[e.at.y / 4u], inside.y),
        select(vec4<f32>(0.0), b[e.at.z / 4u], inside.z),
        select(vec4<f32>(0.0), b[e.at.w / 4u], inside.w),
    );
#else
    let j = four(columns + 4u * number, p.n);
#if B_ALONG_K
    let c0 = b[(start + j.x * p.b.column + k) / 4u];
    let c1 = b[(start + j.y * p.b.column + k) / 4u];
    let c2 = b[(start + j.z * p.b.column + k) / 4u];
    let c3 = b[(start + j.w * p.b.column + k) / 4u];
    return transpose(mat4x4<f32>(c0, c1, c2, c3));
#else
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let inside = k + step < end;
        let at = start + min(k + step, end - 1u) * p.b.row;
#if B_ALONG_N
        let row = b[(at + min(j.x, p.n - 4u)) / 4u];
#else
        let row = vec4<f32>(b[at + j.x * p.b.column], b[at + j.y * p.b.column], b[at + j.z * p.b.column], b[at + j.w * p.b.column]);
#endif
        tile[step] = select(vec4<f32>(0.0), row, inside);
    }
    return tile;
#endif
#endif
}

const ROWS = $ROWS;
const COLUMNS = $COLUMNS;

// The columns of a tile by fours: four rows of b (element [k][j]) or of results (element [i][j]).
struct Fours {
    c0: mat4x4<f32>,
#if WIDE
    c4: mat4x4<f32>,
#endif
#if WIDER
    c8: mat4x4<f32>,
    c12: mat4x4<f32>,
#endif
}

fn load_row(start: u32, columns: Columns, k: u32, end: u32) -> Fours {
    var row: Fours;
    row.c0 = load_b(start, columns, 0u, k, end);
#if WIDE
    row.c4 = load_b(start, columns, 1u, k, end);
#endif
#if WIDER
    row.c8 = load_b(start, columns, 2u, k, end);
    row.c12 = load_b(start, columns, 3u, k, end);
#endif
    return row;
}

// What four rows of four sums begin with.
fn begin(j0: u32) -> mat4x4<f32> {
#if BIAS
#if OUT_VECTOR
    let row = bias[min(j0, p.n - 4u) / 4u];
#else
    let j = four(j0, p.n);
    let row = vec4<f32>(bias[j.x], bias[j.y], bias[j.z], bias[j.w]);
#endif
    return mat4x4<f32>(row, row, row, row);
#else
    return mat4x4<f32>();
#endif
}

fn begin_row(j0: u32) -> Fours {
    var row: Fours;
    row.c0 = begin(j0);
#if WIDE
    row.c4 = begin(j0 + 4u);
#endif
#if WIDER
    row.c8 = begin(j0 + 8u);
    row.c12 = begin(j0 + 12u);
#endif
    return row;
}

// sum + the product of four rows of a (element [k][i]) and four of b.
fn multiply(sum: Fours, ak: mat4x4<f32>, bk: Fours) -> Fours {
    let a_rows = transpose(ak);
    var next: Fours;
    next.c0 = sum.c0 + bk.c0 * a_rows;
#if WIDE
    next.c4 = sum.c4 + bk.c4 * a_rows;
#endif
#if WIDER
    next.c8 = sum.c8 + bk.c8 * a_rows;
    next.c12 = sum.c12 + bk.c12 * a_rows;
#endif
    return next;
}

fn store(sum: mat4x4<f32>, start: u32, i0: u32, j0: u32) {
    if j0 >= p.n { return; }
#if OUT_PATCHES
    let tap = divide(j0, p.out.run);
    let e = elements(p.out, patches_from(p.out, i0, p.m), tap.x, tap.y);
#endif
    for (var r = 0u; r < 4u; r++) {
        // Without `break`, which makes drivers that unroll this compile twice as long.
        if i0 + r < p.m {
#if OUT_PATCHES
            if e.inside[r] { out[e.at[r] / 4u] = sum[r]; }
#else
            let row = start + (i0 + r) * p.out.row;
#if OUT_VECTOR
            out[(row + j0) / 4u] = sum[r];
#else
            for (var c = 0u; c < 4u; c++) {
                if j0 + c < p.n { out[row + (j0 + c) * p.out.column] = sum[r][c]; }
            }
#endif
#endif
        }
    }
}

fn store_row(sum: Fours, start: u32, i0: u32, j0: u32) {
    store(sum.c0, start, i0, j0);
#if WIDE
    store(sum.c4, start, i0, j0 + 4u);
#endif
#if WIDER
    store(sum.c8, start, i0, j0 + 8u);
    store(sum.c12, start, i0, j0 + 12u);
#endif
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
const STRIP = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let columns = (p.n + COLUMNS - 1u) / COLUMNS;
    let rows = (p.m + ROWS - 1u) / ROWS;
    let index = invocation_index(id, groups);
    if index >= columns * rows { return; }
    // Down strips of eight tiles: what a workgroup reads of b serves the next ones from a cache.
    let strip = divide(index, STRIP * rows);
    let place = divide(strip.y, min(STRIP, columns - STRIP * strip.x));
    let j0 = (STRIP * strip.x + place.y) * COLUMNS;
    let i0 = place.x * ROWS;
    let layer = id.z;
#endif

    let batch = layer % p.batches;
    let split = layer / p.batches;
    let batch0 = batch / p.batch1;
    let batch1 = batch % p.batch1;
#if A_PATCHES
    let a_start = 0u;
#else
    let a_start = batch0 * p.a.batch0 + batch1 * p.a.batch1;
#endif
#if B_PATCHES
    let b_start = 0u;
#else
    let b_start = batch0 * p.b.batch0 + batch1 * p.b.batch1;
#endif
#if OUT_PATCHES
    let start = 0u;
#else
    let start = split * p.split_step + batch0 * p.out.batch0 + batch1 * p.out.batch1;
#endif

    let end = min((split + 1u) * p.chunk, p.k);
    let first = begin_row(j0);
    var sum = first;
#if TALL
    var sum4 = first;
#endif
#if TALLER
    var sum8 = first;
    var sum12 = first;
#endif

#if SHARED
    let part = lane % 16u;
    let i_part = (index / columns) * SIDE + 4u * part;
    let j_part = (index % columns) * SIDE + 4u * part;
    let k_part = lane / 16u * 4u;
    let rows_part = rows_from(i_part);
    let columns_part = columns_from(j_part);
    for (var k = split * p.chunk; k < end; k += STEP) {
        // Beyond the end of the sum everything is 0.
        var ak = mat4x4<f32>();
        var bk = mat4x4<f32>();
        if k + k_part < end {
            ak = load_a(a_start, rows_part, k + k_part, end);
            bk = load_b(b_start, columns_part, 0u, k + k_part, end);
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
            sum.c0 = outer(sum.c0, above, left);
            sum.c4 = outer(sum.c4, above, right);
            sum4.c0 = outer(sum4.c0, below, left);
            sum4.c4 = outer(sum4.c4, below, right);
        }
        workgroupBarrier();
    }
#else
    let columns0 = columns_from(j0);
    let rows0 = rows_from(i0);
#if TALL
    let rows4 = rows_from(i0 + 4u);
#endif
#if TALLER
    let rows8 = rows_from(i0 + 8u);
    let rows12 = rows_from(i0 + 12u);
#endif
    for (var k = split * p.chunk; k < end; k += 4u) {
        let bk = load_row(b_start, columns0, k, end);
        sum = multiply(sum, load_a(a_start, rows0, k, end), bk);
#if TALL
        sum4 = multiply(sum4, load_a(a_start, rows4, k, end), bk);
#endif
#if TALLER
        sum8 = multiply(sum8, load_a(a_start, rows8, k, end), bk);
        sum12 = multiply(sum12, load_a(a_start, rows12, k, end), bk);
#endif
    }
#endif
    store_row(sum, start, i0, j0);
#if TALL
    store_row(sum4, start, i0 + 4u, j0);
#endif
#if TALLER
    store_row(sum8, start, i0 + 8u, j0);
    store_row(sum12, start, i0 + 12u, j0);
#endif
}
