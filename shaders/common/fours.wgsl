// The operands of a product of matrices as vec4s: loads and stores of blocks of 4×4.
//
// Each operand is read as vec4s if one of its axes is contiguous and aligned (A_ALONG_K, A_ALONG_M, B_ALONG_K,
// B_ALONG_N), else element by element with zeros outside. Or it is an image, read as the matrix of its patches
// (A_PATCHES, along k; B_PATCHES, along n) or written as such (OUT_PATCHES).
// Rows and columns beyond m and n are computed from clamped addresses and not stored. WHOLE: the number of terms of a sum
// is a multiple of four, and nothing is tested; else what is loaded beyond its end is 0.
//
// The kernel sets BESIDE to the distance between the groups of four columns of one invocation.
#include "common/fused.wgsl"
#include "common/product.wgsl"

#if PATCHES
#include "common/patches.wgsl"
#endif

// Four neighbours from `first`, none beyond the last of `count`.
fn four(first: u32, count: u32) -> vec4<u32> {
    return min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(count - 1u));
}

// How far four terms that are `step` apart are from the first of them.
fn steps_of(step: u32) -> vec4<u32> {
    return step * vec4<u32>(0u, 1u, 2u, 3u);
}

// Positions of the terms k to k + 3, of which term 0 is at `start`; beyond the end, that of the last term.
fn four_terms(start: u32, k: u32, end: u32, steps: vec4<u32>) -> vec4<u32> {
#if WHOLE
#if B_PATCHES
    // Beside patches of b, Intel's cards have no registers to spare for all distances.
    let second = k * steps.y + steps.y;
    let third = second + steps.y;
    return start + vec4<u32>(k * steps.y, second, third, third + steps.y);
#else
    return start + k * steps.y + steps;
#endif
#else
    return start + four(k, end) * steps.y;
#endif
}

// Four terms that begin at k, or 0 beyond the end.
fn before_end(tile: mat4x4<f32>, k: u32, end: u32) -> mat4x4<f32> {
#if WHOLE
    return tile;
#else
    let none = vec4<f32>(0.0);
    return mat4x4<f32>(tile[0], select(none, tile[1], k + 1u < end), select(none, tile[2], k + 2u < end),
                       select(none, tile[3], k + 3u < end));
#endif
}

#if A_PATCHES
alias Rows = Patches;

fn rows_from(start: u32, i0: u32) -> Rows {
    return patches_from(p.a, i0, p.m);
}
#else
#if A_ALONG_M
// Four rows of a at k = 0 and the distances to the next three k, in vec4s, computed before the loop over k.
struct Rows { first: u32, steps: vec4<u32> }

fn rows_from(start: u32, i0: u32) -> Rows {
    return Rows((start + min(i0, p.m - 4u)) / 4u, steps_of(p.a.column / 4u));
}
#else
alias Rows = vec4<u32>;

#if A_ALONG_K
// Starts of four rows of the matrix that begins at `start`, in vec4s.
fn rows_from(start: u32, i0: u32) -> Rows {
    return min(start / 4u + four(i0, p.m) * (p.a.row / 4u), vec4<u32>(MOST_FOURS));
}
#else
fn rows_from(start: u32, i0: u32) -> Rows {
    return start + four(i0, p.m) * p.a.row;
}
#endif
#endif
#endif

// Four columns from k of four rows of a: element [k][i].
fn block_of_a(rows: Rows, k: u32, end: u32) -> mat4x4<f32> {
#if A_PATCHES
    let tap = divide(k, p.a.run);
    let e = elements(p.a, rows, tap.x, tap.y);
    let r0 = select(vec4<f32>(0.0), load_a(e.at.x / 4u), e.inside.x);
    let r1 = select(vec4<f32>(0.0), load_a(e.at.y / 4u), e.inside.y);
    let r2 = select(vec4<f32>(0.0), load_a(e.at.z / 4u), e.inside.z);
    let r3 = select(vec4<f32>(0.0), load_a(e.at.w / 4u), e.inside.w);
    return transpose(mat4x4<f32>(r0, r1, r2, r3));
#else
#if A_ALONG_K
    let at = rows + k / 4u;
    return transpose(mat4x4<f32>(load_a(at.x), load_a(at.y), load_a(at.z), load_a(at.w)));
#else
#if A_ALONG_M
    let at = four_terms(rows.first, k, end, rows.steps);
    let tile = mat4x4<f32>(load_a(at.x), load_a(at.y), load_a(at.z), load_a(at.w));
#else
    let terms = four_terms(0u, k, end, steps_of(p.a.column));
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let at = rows + terms[step];
        tile[step] = vec4<f32>(load_a(at.x), load_a(at.y), load_a(at.z), load_a(at.w));
    }
#endif
    return before_end(tile, k, end);
#endif
#endif
}

#if B_PATCHES
alias Columns = Taps;

// Positions in a patch of the groups of four from j0 on.
fn columns_from(start: u32, j0: u32) -> Columns {
    let j = j0 + BESIDE * vec4<u32>(0u, 1u, 2u, 3u);
    let down = j / p.b.run;
    return Taps(down, j - down * p.b.run);
}
#else
#if B_ALONG_K
// Starts of the columns of the groups of four, in vec4s. Not an array, which drivers may keep in memory.
struct Columns { c0: vec4<u32>, c1: vec4<u32>, c2: vec4<u32>, c3: vec4<u32> }

fn columns_from(start: u32, j0: u32) -> Columns {
    let column = p.b.column / 4u;
    let most = vec4<u32>(MOST_FOURS);
    return Columns(min(start / 4u + four(j0, p.n) * column, most),
                   min(start / 4u + four(j0 + BESIDE, p.n) * column, most),
                   min(start / 4u + four(j0 + 2u * BESIDE, p.n) * column, most),
                   min(start / 4u + four(j0 + 3u * BESIDE, p.n) * column, most));
}
#else
#if B_ALONG_N
// The groups of four columns at k = 0 and the distances to the next three k, in vec4s, computed before the loop over k.
struct Columns { first: vec4<u32>, steps: vec4<u32> }

fn columns_from(start: u32, j0: u32) -> Columns {
    let columns = min(j0 + BESIDE * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.n - 4u));
    return Columns((start + columns) / 4u, steps_of(p.b.row / 4u));
}
#else
// Where the matrix begins, and its first column.
struct Columns { start: u32, first: u32 }

fn columns_from(start: u32, j0: u32) -> Columns {
    return Columns(start, j0);
}
#endif
#endif
#endif

// Four rows from k of the columns of that group: element [k][j].
fn block_of_b(columns: Columns, number: u32, k: u32, end: u32) -> mat4x4<f32> {
#if B_PATCHES
    let e = elements(p.b, patches_from(p.b, k, p.k), columns.down[number], columns.along[number]);
    let r0 = select(vec4<f32>(0.0), load_b(e.at.x / 4u), e.inside.x);
    let r1 = select(vec4<f32>(0.0), load_b(e.at.y / 4u), e.inside.y);
    let r2 = select(vec4<f32>(0.0), load_b(e.at.z / 4u), e.inside.z);
    let r3 = select(vec4<f32>(0.0), load_b(e.at.w / 4u), e.inside.w);
    return before_end(mat4x4<f32>(r0, r1, r2, r3), k, end);
#else
#if B_ALONG_K
    var at = columns.c0;
    if number == 1u { at = columns.c1; }
    if number == 2u { at = columns.c2; }
    if number == 3u { at = columns.c3; }
    at += k / 4u;
    return transpose(mat4x4<f32>(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w)));
#else
#if B_ALONG_N
    let at = four_terms(columns.first[number], k, end, columns.steps);
    let tile = mat4x4<f32>(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w));
#else
    let j = columns.start + four(columns.first + BESIDE * number, p.n) * p.b.column;
    let terms = four_terms(0u, k, end, steps_of(p.b.row));
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let at = j + terms[step];
        tile[step] = vec4<f32>(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w));
    }
#endif
    return before_end(tile, k, end);
#endif
#endif
}

// Initial values of four rows of four sums.
fn begin(j0: u32) -> mat4x4<f32> {
#if BIAS
#if OUT_VECTOR
    let row = load_bias(min(j0, p.n - 4u) / 4u);
#else
    let j = four(j0, p.n);
    let row = vec4<f32>(load_bias(j.x), load_bias(j.y), load_bias(j.z), load_bias(j.w));
#endif
    return mat4x4<f32>(row, row, row, row);
#else
    return mat4x4<f32>();
#endif
}

// A single store in loops that no driver unrolls, since every store takes long to compile on software devices.
fn store(sum: mat4x4<f32>, start: u32, i0: u32, j0: u32) {
    if j0 >= p.n { return; }
#if OUT_PATCHES
    let tap = divide(j0, p.out.run);
    let e = elements(p.out, patches_from(p.out, i0, p.m), tap.x, tap.y);
#endif
    var rows = sum;
    for (var i = i0; i < min(i0 + 4u, p.m); i++) {
#if OUT_PATCHES
        if e.inside[i - i0] { store_out(e.at[i - i0] / 4u, rows[0]); }
#else
        let row = start + i * p.out.row;
#if OUT_VECTOR
        store_out((row + j0) / 4u, rows[0]);
#else
        var four = rows[0];
        for (var j = j0; j < min(j0 + 4u, p.n); j++) {
            store_out(row + j * p.out.column, four.x);
            four = four.yzwx;
        }
#endif
#endif
        rows = mat4x4<f32>(rows[1], rows[2], rows[3], rows[0]);
    }
}
