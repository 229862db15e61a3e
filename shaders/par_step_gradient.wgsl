// Gradient of par_step.wgsl with respect to its mask, for grad [batch, height, width, slots].
//
//   out[b, q, s] = Σ_k Σ over pixels p of which q is neighbour k: weights[b, p, k] · grad[b, p, s]
//
// Neighbours are clamped to the extent: a cell at the border is the neighbour of a whole run of pixels, which are all
// gathered. Pixels outside the extent and groups of four slots without a class give 0, as in the forward pass. One
// invocation computes one pixel of one group. Every sum runs over rings, k and p in order: deterministic.
struct Params {
    batch: u32, height: u32, width: u32, rings: u32,
    dilations: array<vec4<u32>, 2>,
    fours: u32,
    first_row: u32, first_layer: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read grad: array<vec4<f32>>
#read weights: array<f32>
#include "common/par.wgsl"

// The positions along an axis, from x to y (exclusive), from which a step of `by`, clamped to the axis, ends at `at`.
fn origins(at: i32, by: i32, size: i32) -> vec2<i32> {
    return vec2<i32>(select(max(at - by, 0), 0, at == 0), select(min(at - by + 1, size), size, at == size - 1));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.height * p.width { return; }
    let pixel = pixel_at(index);
    let four = id.z + p.first_layer;
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < select(0u, 8u * p.rings, pixel.inside && in_use(pixel.image, four)); k++) {
        let ring = k / 8u;
        // Of the 3 × 3 cells of a ring the fifth is the pixel itself.
        let place = i32(k % 8u + select(0u, 1u, k % 8u >= 4u));
        let distance = i32(p.dilations[ring / 4u][ring % 4u]);
        let rows = origins(pixel.at.x, (place / 3 - 1) * distance, pixel.size.x);
        let columns = origins(pixel.at.y, (place % 3 - 1) * distance, pixel.size.y);
        for (var y = rows.x; y < rows.y; y++) {
            for (var x = columns.x; x < columns.y; x++) {
                let origin = pixel.map + u32(y) * p.width + u32(x);
                sum += load_weights(origin * 8u * p.rings + k) * load_grad(origin * p.fours + four);
            }
        }
    }
    store_out(index * p.fours + four, sum);
}
