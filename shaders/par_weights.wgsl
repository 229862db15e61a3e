// Neighbour weights of pixel-adaptive refinement (method.md 4.1, steps 1 to 3).
//
//   out[b, y, x, k] = softmax_k(e) + position[k],   e_k = −mean_c ( |I_c(k) − I_c| / (s_c + 1e-8) / w1 )²
//
// I_c is channel c of image [batch, height, width, 4] (the fourth is not read) at (y, x), I_c(k) at neighbour k, s_c
// the unbiased standard deviation of I_c(k) over all k. Neighbour k = 8·ring + n: the eight around (y, x) at distance
// dilations[ring], row by row. Their coordinates are clamped to the image's extent [batch, (height, width)], outside
// of which the weights are 0. `position` is the part that only depends on k.
// One invocation computes all weights of one pixel; mean and deviation are updated neighbour by neighbour (Welford), in
// order: deterministic.
#include "common/index.wgsl"
#include "common/ring.wgsl"

struct Params {
    batch: u32, height: u32, width: u32, rings: u32,
    rows: array<vec4<u32>, 2>,
    columns: array<vec4<u32>, 2>,
    position: array<vec4<f32>, 16>,
    inverse_w1: f32,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read image: array<vec4<f32>>
#read extent: array<i32>
#write out: array<vec4<f32>>

struct Spread { count: f32, mean: vec3<f32>, squares: vec3<f32> }

fn include(spread: Spread, pixel: u32) -> Spread {
    let value = load_image(pixel).xyz;
    let count = spread.count + 1.0;
    let step = value - spread.mean;
    let mean = spread.mean + step / count;
    return Spread(count, mean, spread.squares + step * (value - mean));
}

// −mean_c of the squared distance in units of the deviation, of a neighbour and of four.
fn exponent(own: vec3<f32>, pixel: u32, scale: vec3<f32>) -> f32 {
    let d = abs(load_image(pixel).xyz - own) * scale;
    return -(d.x * d.x + d.y * d.y + d.z * d.z) / 3.0;
}

fn exponents(own: vec3<f32>, pixels: vec4<u32>, scale: vec3<f32>) -> vec4<f32> {
    return vec4<f32>(exponent(own, pixels.x, scale), exponent(own, pixels.y, scale),
                     exponent(own, pixels.z, scale), exponent(own, pixels.w, scale));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.height * p.width { return; }
    let pixel = pixel_at(index);
    let start = index * 2u * p.rings;
    if !pixel.inside {
        for (var k = 0u; k < 2u * p.rings; k++) { store_out(start + k, vec4<f32>(0.0)); }
        return;
    }

    let centre = centre_of(pixel, 1u, 0u);
    var spread = Spread(0.0, vec3<f32>(0.0), vec3<f32>(0.0));
    for (var r = 0u; r < p.rings; r++) {
        let ring = ring_at(centre, r);
        spread = include(include(include(include(spread, ring.a.x), ring.a.y), ring.a.z), ring.a.w);
        spread = include(include(include(include(spread, ring.b.x), ring.b.y), ring.b.z), ring.b.w);
    }
    let scale = p.inverse_w1 / (sqrt(spread.squares / (spread.count - 1.0)) + 1e-8);

    // Exponents are computed three times: kept in an array, they would be in memory on some cards.
    let own = load_image(index).xyz;
    var largest = vec4<f32>(-3e38);
    for (var r = 0u; r < p.rings; r++) {
        let ring = ring_at(centre, r);
        largest = max(largest, max(exponents(own, ring.a, scale), exponents(own, ring.b, scale)));
    }
    let top = max(max(largest.x, largest.y), max(largest.z, largest.w));
    var sums = vec4<f32>(0.0);
    for (var r = 0u; r < p.rings; r++) {
        let ring = ring_at(centre, r);
        sums += exp(exponents(own, ring.a, scale) - top);
        sums += exp(exponents(own, ring.b, scale) - top);
    }
    let sum = (sums.x + sums.y) + (sums.z + sums.w);
    for (var r = 0u; r < p.rings; r++) {
        let k = 2u * r;
        let ring = ring_at(centre, r);
        store_out(start + k, exp(exponents(own, ring.a, scale) - top) / sum + p.position[k]);
        store_out(start + k + 1u, exp(exponents(own, ring.b, scale) - top) / sum + p.position[k + 1u]);
    }
}
