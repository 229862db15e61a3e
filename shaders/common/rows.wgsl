// Rows of a matrix, p.rows by p.width, each shared by LANES neighbouring invocations, of which there is one on software
// devices. On graphics cards, neighbours read neighbouring elements of the row (SHARED) and exchange partial results
// through workgroup memory; each of them then merges all of these in the same order, so that nothing depends on
// scheduling.
#include "common/index.wgsl"

const LANES = u32($LANES);
alias V = $VALUE;

// The elements of a lane: first, first + LANES, … before `end` of the row that begins at `start`.
struct Walk { row: u32, start: u32, first: u32, end: u32 }

// All lanes stay active until the end; those without a row have no elements.
fn walk(index: u32, lane: u32) -> Walk {
    let row = min(index / LANES, p.rows - 1u);
    return Walk(row, row * p.width, lane % LANES, select(0u, p.width, index / LANES < p.rows));
}

#if SHARED
var<workgroup> partial: array<vec3<f32>, WORKGROUP>;

// Shares a partial result with the lanes of the row. Must be called by all lanes, once.
fn share(own: vec3<f32>, lane: u32) {
    partial[lane] = own;
    workgroupBarrier();
}

// The partial result of lane i of the same row.
fn shared_by(i: u32, lane: u32) -> vec3<f32> {
    return partial[lane / LANES * LANES + i];
}
#else
var<private> partial: vec3<f32>;

fn share(own: vec3<f32>, lane: u32) {
    partial = own;
}

fn shared_by(i: u32, lane: u32) -> vec3<f32> {
    return partial;
}
#endif

// Sums of the partial results of all lanes.
fn total_of(lane: u32) -> vec3<f32> {
    var total = shared_by(0u, lane);
    for (var i = 1u; i < LANES; i++) { total += shared_by(i, lane); }
    return total;
}
