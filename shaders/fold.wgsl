// Adjoint of unfold: every pixel of dx [B, H, W, C] sums the patch entries that hold it.
//
//   dx[b, iy, ix, c] = Σ_ky Σ_kx g[b, oy, ox, ky, kx, c]  with oy·stride + ky - padding = iy, likewise for x
//
// A gather: `parts` invocations per pixel, each taking every parts-th channel (or four, where C allows), add the
// entries in order of ky, then kx. Nothing depends on scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params {
    total: u32, height: u32, width: u32, channels: u32, out_height: u32, out_width: u32,
    kernel_height: u32, kernel_width: u32, stride: u32, padding: u32, parts: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> g: array<V>;
@group(0) @binding(2) var<storage, read_write> dx: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.total { return; }
    let first = index % p.parts;
    let pixel = index / p.parts;
    let sx = pixel % p.width + p.padding;
    let sy = (pixel / p.width) % p.height + p.padding;
    let b = pixel / (p.width * p.height);

    // The patch moves back by one where the offset inside it grows by one stride; below zero it wraps and is skipped.
    let ky0 = sy % p.stride;
    let kx0 = sx % p.stride;
    let oy0 = sy / p.stride;
    let ox0 = sx / p.stride;
    for (var c = first; c < p.channels; c += p.parts) {
        var sum = V(0.0);
        var oy = oy0;
        for (var ky = ky0; ky < p.kernel_height; ky += p.stride) {
            if oy < p.out_height {
                var ox = ox0;
                for (var kx = kx0; kx < p.kernel_width; kx += p.stride) {
                    if ox < p.out_width {
                        let place = (b * p.out_height + oy) * p.out_width + ox;
                        sum += g[((place * p.kernel_height + ky) * p.kernel_width + kx) * p.channels + c];
                    }
                    ox -= 1u;
                }
            }
            oy -= 1u;
        }
        dx[pixel * p.channels + c] = sum;
    }
}
