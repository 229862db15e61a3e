// 2. tiles of 16×16 in workgroup memory
//
// The next step in textbooks: a workgroup loads 16×16 of both operands into its shared memory and uses each value 16
// times, between two barriers. On a graphics card, that memory is much faster. On a software device, it is ordinary
// memory, and every barrier suspends and resumes 256 invocations: two loads per multiplication remain, in addition to
// the copies.
#include "common/index.wgsl"

struct Params { n: u32, columns: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const SIDE = 16u;
var<workgroup> a_tile: array<array<f32, SIDE>, SIDE>;
var<workgroup> b_tile: array<array<f32, SIDE>, SIDE>;

@compute @workgroup_size(SIDE, SIDE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) own: vec3<u32>) {
    let tile = divide(workgroup_index(group, groups), p.n / SIDE);
    if tile.x >= p.n / SIDE { return; }
    let i = tile.x * SIDE + own.y;
    let j = tile.y * SIDE + own.x;
    var sum = 0.0;
    for (var start = 0u; start < p.n; start += SIDE) {
        a_tile[own.y][own.x] = a[i * p.n + start + own.x];
        b_tile[own.y][own.x] = b[(start + own.y) * p.n + j];
        workgroupBarrier();
        for (var k = 0u; k < SIDE; k++) {
            sum += a_tile[own.y][k] * b_tile[k][own.x];
        }
        workgroupBarrier();
    }
    out[i * p.n + j] = sum;
}
