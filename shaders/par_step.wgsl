// One iteration of pixel-adaptive refinement (method.md 4.1, step 4) on mask [batch, height, width, slots].
//
//   out[b, y, x, s] = Σ_k weights[b, y, x, k] · mask[b, neighbour k of (y, x), s]
//
// Neighbours are those of par_weights.wgsl, clamped to the image's extent; pixels outside it give 0. Slots are in
// groups of four: groups whose classes [batch, slots] are all −1 are skipped and give 0. One invocation computes one
// pixel of two groups (PAIR) or one, so that the weights are read once for both; z counts the further ones. Every sum
// runs over k in order: deterministic. Every output is computed from the previous mask only.
#read mask: array<vec4<f32>>
#read weights: array<vec4<f32>>
#include "common/par.wgsl"

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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.height * p.width { return; }
    let pixel = pixel_at(index);
    let start = index * 2u * p.rings;
#if PAIR
    let four = 2u * (id.z + p.first_layer);
    let second = pixel.inside && four + 1u < p.fours && in_use(pixel.image, min(four + 1u, p.fours - 1u));
    var sum1 = vec4<f32>(0.0);
#else
    let four = id.z + p.first_layer;
    let second = false;
#endif
    let first = pixel.inside && in_use(pixel.image, four);
    var sum0 = vec4<f32>(0.0);
    if first || second {
        let centre = centre_of(pixel, p.fours, four);
        for (var r = 0u; r < p.rings; r++) {
            let ring = ring_at(centre, r);
            let wa = load_weights(start + 2u * r);
            let wb = load_weights(start + 2u * r + 1u);
            // Without a test: where a group is in use, those before it nearly always are.
            sum0 = gather(sum0, ring, wa, wb, 0u);
#if PAIR
            if second { sum1 = gather(sum1, ring, wa, wb, 1u); }
#endif
        }
    }
    store_out(index * p.fours + four, select(vec4<f32>(0.0), sum0, first));
#if PAIR
    if four + 1u < p.fours { store_out(index * p.fours + four + 1u, sum1); }
#endif
}
