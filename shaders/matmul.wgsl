// Matrix product of strided operands.
//
//   out[s, b, i, j] = bias[j] + sum over k in chunk s of a[b, i, k] · b[b, k, j]
//
// One invocation computes a tile of 4, 8 (TALL) or 16 rows (TALLER) by 4, 8 (WIDE) or 16 columns (WIDER) and iterates
// over k in steps of four; z counts (split s, batch b). A larger tile needs fewer loads per product. Every sum runs
// over k in order: the result does not depend on scheduling.
#include "common/index.wgsl"
#include "common/fours.wgsl"

const ROWS = $ROWS;
const COLUMNS = $COLUMNS;
const BESIDE = 4u;

// The columns of a tile in groups of four: four rows of b (element [k][j]) or of results (element [i][j]).
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

fn load_row(columns: Columns, k: u32, end: u32) -> Fours {
    var row: Fours;
    row.c0 = block_of_b(columns, 0u, k, end);
#if WIDE
    row.c4 = block_of_b(columns, 1u, k, end);
#endif
#if WIDER
    row.c8 = block_of_b(columns, 2u, k, end);
    row.c12 = block_of_b(columns, 3u, k, end);
#endif
    return row;
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
    next.c0 = add_product(sum.c0, a_rows, bk.c0);
#if WIDE
    next.c4 = add_product(sum.c4, a_rows, bk.c4);
#endif
#if WIDER
    next.c8 = add_product(sum.c8, a_rows, bk.c8);
    next.c12 = add_product(sum.c12, a_rows, bk.c12);
#endif
    return next;
}

fn store_row(sum: Fours, start: u32, i0: u32, j0: u32) {
    var row = sum;
    for (var j = j0; j < min(j0 + COLUMNS, p.n); j += 4u) {
        store(row.c0, start, i0, j);
#if WIDE
        row.c0 = row.c4;
#endif
#if WIDER
        row.c4 = row.c8;
        row.c8 = row.c12;
#endif
    }
}

const STRIP = 8u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let columns = (p.n + COLUMNS - 1u) / COLUMNS;
    let rows = (p.m + ROWS - 1u) / ROWS;
    let index = invocation_index(id, groups);
    if index >= columns * rows { return; }
    // Down strips of eight tiles, so that the next workgroups find the values of b in a cache.
    let strip = divide(index, STRIP * rows);
    let place = divide(strip.y, min(STRIP, columns - STRIP * strip.x));
    let j0 = (STRIP * strip.x + place.y) * COLUMNS;
    let i0 = place.x * ROWS;
    let layer = layer(id.z);

    let first = begin_row(j0);
    var sum = first;
#if TALL
    var sum4 = first;
#endif
#if TALLER
    var sum8 = first;
    var sum12 = first;
#endif
    let b_columns = columns_from(layer.b, j0);
    let rows0 = rows_from(layer.a, i0);
#if TALL
    let rows4 = rows_from(layer.a, i0 + 4u);
#endif
#if TALLER
    let rows8 = rows_from(layer.a, i0 + 8u);
    let rows12 = rows_from(layer.a, i0 + 12u);
#endif
    for (var k = layer.first; k < layer.end; k += 4u) {
        let bk = load_row(b_columns, k, layer.end);
        sum = multiply(sum, block_of_a(rows0, k, layer.end), bk);
#if TALL
        sum4 = multiply(sum4, block_of_a(rows4, k, layer.end), bk);
#endif
#if TALLER
        sum8 = multiply(sum8, block_of_a(rows8, k, layer.end), bk);
        sum12 = multiply(sum12, block_of_a(rows12, k, layer.end), bk);
#endif
    }
    for (var i = i0; i < min(i0 + ROWS, p.m); i += 4u) {
        store_row(sum, layer.out, i, j0);
#if TALL
        sum = sum4;
#endif
#if TALLER
        sum4 = sum8;
        sum8 = sum12;
#endif
    }
}
