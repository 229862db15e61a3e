// One iteration of pixel-adaptive refinement (method.md 4.1, step 4) on mask [batch, height, width, slots].
//
//   out[b, y, x, s] = Σ_k weights[b, y, x, k] · mask[b, neighbour k of (y, x), s]
//
// Neighbours are those of par_weights.wgsl, clamped to the image's extent; pixels outside it give 0. Slots are in
// groups of four: groups whose classes [batch, slots] are all −1 are skipped and give 0. One invocation computes one
// pixel of two groups (PAIR) or one, so that the weights are read once for both; z counts the further ones. RINGS, the
// number of rings, unrolls the loop over them where both groups are in use. Every sum runs over k in order: deterministic. Every output is computed
// from the previous mask only.
struct Params {
    batch: u32, height: u32, width: u32, rings: u32,
    rows: array<vec4<u32>, 2>,
    columns: array<vec4<u32>, 2>,
    fours: u32,
    first_row: u32, first_layer: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read mask: array<vec4<f32>>
#read weights: array<vec4<f32>>
#include "common/par.wgsl"
#include "common/ring.wgsl"

// sum + Σ over a ring of weight · mask, for the group `next` to that of the ring, or for its own.
fn gather(sum: vec4<f32>, ring: Ring, a: vec4<f32>, b: vec4<f32>, next: u32) -> vec4<f32> {
    var own = fma(vec4<f32>(a.x), load_mask(ring.a.x + next), sum);
    own = fma(vec4<f32>(a.y), load_mask(ring.a.y + next), own);
    own = fma(vec4<f32>(a.z), load_mask(ring.a.z + next), own);
    own = fma(vec4<f32>(a.w), load_mask(ring.a.w + next), own);
    own = fma(vec4<f32>(b.x), load_mask(ring.b.x + next), own);
    own = fma(vec4<f32>(b.y), load_mask(ring.b.y + next), own);
    own = fma(vec4<f32>(b.z), load_mask(ring.b.z + next), own);
    own = fma(vec4<f32>(b.w), load_mask(ring.b.w + next), own);
    return own;
}

#if PAIR
// sums + Σ over ring r of weight · mask, for a group and the next one; the pixel's weights begin at `start`.
fn with_ring(sums: mat2x4<f32>, centre: Centre, start: u32, r: u32) -> mat2x4<f32> {
    let ring = ring_at(centre, r);
    let a = load_weights(start + 2u * r);
    let b = load_weights(start + 2u * r + 1u);
    return mat2x4<f32>(gather(sums[0], ring, a, b, 0u), gather(sums[1], ring, a, b, 1u));
}
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.height * p.width { return; }
    let pixel = pixel_at(index);
    let start = index * 2u * p.rings;
#if PAIR
    let four = 2u * (id.z + p.first_layer);
    let second = pixel.inside && four + 1u < p.fours && in_use(pixel.image, min(four + 1u, p.fours - 1u));
#else
    let four = id.z + p.first_layer;
#endif
    let first = pixel.inside && in_use(pixel.image, four);
    let centre = centre_of(pixel, p.fours, four);
    var sums = mat2x4<f32>();
#if PAIR
    if second {
#if RINGS
        sums = with_ring(sums, centre, start, 0u);
        if 1u < $RINGS { sums = with_ring(sums, centre, start, 1u); }
        if 2u < $RINGS { sums = with_ring(sums, centre, start, 2u); }
        if 3u < $RINGS { sums = with_ring(sums, centre, start, 3u); }
        if 4u < $RINGS { sums = with_ring(sums, centre, start, 4u); }
        if 5u < $RINGS { sums = with_ring(sums, centre, start, 5u); }
        if 6u < $RINGS { sums = with_ring(sums, centre, start, 6u); }
        if 7u < $RINGS { sums = with_ring(sums, centre, start, 7u); }
#else
        for (var r = 0u; r < p.rings; r++) { sums = with_ring(sums, centre, start, r); }
#endif
    } else if first {
#else
    if first {
#endif
        for (var r = 0u; r < p.rings; r++) {
            let a = load_weights(start + 2u * r);
            let b = load_weights(start + 2u * r + 1u);
            sums[0] = gather(sums[0], ring_at(centre, r), a, b, 0u);
        }
    }
    store_out(index * p.fours + four, select(vec4<f32>(0.0), sums[0], first));
#if PAIR
    if four + 1u < p.fours { store_out(index * p.fours + four + 1u, sums[1]); }
#endif
}
