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

// Whether a term is one of a sum that ends at `end`.
fn is_term(k: u32, end: u32) -> bool {
#if WHOLE
    return true;
#else
    return k < end;
#endif
}

// The term to load: the last one if k is beyond the end.
fn loaded_term(k: u32, end: u32) -> u32 {
#if WHOLE
    return k;
#else
    return min(k, end - 1u);
#endif
}

#if A_PATCHES
alias Rows = Patches;

fn rows_from(i0: u32) -> Rows {
    return patches_from(p.a, i0, p.m);
}
#else
#if A_ALONG_M
alias Rows = u32;

// Four rows, in vec4s.
fn rows_from(i0: u32) -> Rows {
    return min(i0, p.m - 4u) / 4u;
}
#else
alias Rows = vec4<u32>;

#if A_ALONG_K
// Starts of four rows, in vec4s.
fn rows_from(i0: u32) -> Rows {
    return four(i0, p.m) * (p.a.row / 4u);
}
#else
fn rows_from(i0: u32) -> Rows {
    return four(i0, p.m);
}
#endif
#endif
#endif

// Four columns from k of four rows of a: element [k][i].
fn block_of_a(start: u32, i: Rows, k: u32, end: u32) -> mat4x4<f32> {
#if A_PATCHES
    let tap = divide(k, p.a.run);
    let e = elements(p.a, i, tap.x, tap.y);
    let r0 = select(vec4<f32>(0.0), load_a(e.at.x / 4u), e.inside.x);
    let r1 = select(vec4<f32>(0.0), load_a(e.at.y / 4u), e.inside.y);
    let r2 = select(vec4<f32>(0.0), load_a(e.at.z / 4u), e.inside.z);
    let r3 = select(vec4<f32>(0.0), load_a(e.at.w / 4u), e.inside.w);
    return transpose(mat4x4<f32>(r0, r1, r2, r3));
#else
#if A_ALONG_K
    let at = i + (start + k) / 4u;
    return transpose(mat4x4<f32>(load_a(at.x), load_a(at.y), load_a(at.z), load_a(at.w)));
#else
    var tile: mat4x4<f32>;
    for (var step = 0u; step < 4u; step++) {
        let term = loaded_term(k + step, end);
#if A_ALONG_M
        let column = load_a(start / 4u + term * (p.a.column / 4u) + i);
#else
        let at = start + term * p.a.column;
        let column = vec4<f32>(load_a(at + i.x * p.a.row), load_a(at + i.y * p.a.row),
                               load_a(at + i.z * p.a.row), load_a(at + i.w * p.a.row));
#endif
        tile[step] = select(vec4<f32>(0.0), column, is_term(k + step, end));
    }
    return tile;
#endif
#endif
}

#if B_PATCHES
alias Columns = Taps;

// Positions in a patch of the groups of four from j0 on.
fn columns_from(j0: u32) -> Columns {
    let j = j0 + BESIDE * vec4<u32>(0u, 1u, 2u, 3u);
    let down = j / p.b.run;
    return Taps(down, j - down * p.b.run);
}
#else
#if B_ALONG_K
// Starts of the columns of the groups of four, in vec4s. Not an array, which drivers may keep in memory.
struct Columns { c0: vec4<u32>, c1: vec4<u32>, c2: vec4<u32>, c3: vec4<u32> }

fn columns_from(j0: u32) -> Columns {
    let column = p.b.column / 4u;
    return Columns(four(j0, p.n) * column, four(j0 + BESIDE, p.n) * column,
                   four(j0 + 2u * BESIDE, p.n) * column, four(j0 + 3u * BESIDE, p.n) * column);
}
#else
#if B_ALONG_N
// The groups of four columns, in vec4s.
alias Columns = vec4<u32>;

fn columns_from(j0: u32) -> Columns {
    return min(j0 + BESIDE * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(p.n - 4u)) / 4u;
}
#else
alias Columns = u32;

fn columns_from(j0: u32) -> Columns {
    return j0;
}
#endif
#endif
#endif

// Four rows from k of the columns of that group: element [k][j].
fn block_of_b(start: u32, columns: Columns, number: u32, k: u32, end: u32) -> mat4x4<f32> {
#if B_PATCHES
    let e = elements(p.b, patches_from(p.b, k, p.k), columns.down[number], columns.along[number]);
#if WHOLE
    let inside = e.inside;
#else
    let inside = e.inside & (vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(end));
#endif
    return mat4x4<f32>(
        select(vec4<f32>(0.0), load_b(e.at.x / 4u), inside.x),
        select(vec4<f32>(0.0), load_b(e.at.y / 4u), inside.y),
        select(vec4<f32>(0.0), load_b(e.at.z / 4u), inside.z),
        select(vec4<f32>(0.0), load_b(e.at.w / 4u), inside.w),
    );
#else
#if B_ALONG_K
    var at = columns.c0;
    if number == 1u { at = columns.c1; }
    if number == 2u { at = columns.c2; }
    if number == 3u { at = columns.c3; }
    at += (start + k) / 4u;
    return transpose(mat4x4<f32>(load_b(at.x), load_b(at.y), load_b(at.z), load_b(at.w)));
#else
    var tile: mat4x4<f32>;
#if B_ALONG_N
#else
    let j = four(columns + BESIDE * number, p.n);
#endif
    for (var step = 0u; step < 4u; step++) {
        let term = loaded_term(k + step, end);
#if B_ALONG_N
        let row = load_b(start / 4u + term * (p.b.row / 4u) + columns[number]);
#else
        let at = start + term * p.b.row;
        let row = vec4<f32>(load_b(at + j.x * p.b.column), load_b(at + j.y * p.b.column),
                            load_b(at + j.z * p.b.column), load_b(at + j.w * p.b.column));
#endif
        tile[step] = select(vec4<f32>(0.0), row, is_term(k + step, end));
    }
    return tile;
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
