// Patches of x [B, H, W, C] as rows, zeros outside the image (im2col).
//
//   y[b, oy, ox, ky, kx, c] = x[b, oy·stride + ky - padding, ox·stride + kx - padding, c]
//
// For one ky, the run over (kx, c) is contiguous on both sides: `parts` invocations copy it, each every parts-th
// element (or four channels, where C allows: all widths count such steps). Copies do not depend on scheduling.
#include "common/index.wgsl"

alias V = $VALUE;

struct Params {
    total: u32, height: u32, row: u32, channels: u32, out_height: u32, out_width: u32,
    kernel_height: u32, run: u32, stride: u32, padding: u32, parts: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<V>;
@group(0) @binding(2) var<storage, read_write> y: array<V>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.total { return; }
    let first = index % p.parts;
    let run = index / p.parts;
    let ky = run % p.kernel_height;
    let place = run / p.kernel_height;
    let ox = place % p.out_width;
    let oy = (place / p.out_width) % p.out_height;
    let b = place / (p.out_width * p.out_height);

    // Wrapped below zero where it lies above or left of the image: then beyond any extent.
    let iy = oy * p.stride + ky - p.padding;
    let begin = (ox * p.stride - p.padding) * p.channels;
    let start = (b * p.height + min(iy, p.height - 1u)) * p.row;
    for (var i = first; i < p.run; i += p.parts) {
        let at = begin + i;
        let value = x[start + min(at, p.row - 1u)];
        y[run * p.run + i] = select(V(0.0), value, iy < p.height && at < p.row);
    }
}
