// A strided copy: permute, slice, pad, flip, concatenate.
//
//   y[y_offset + Σ c·y_strides] = x[x_offset + Σ c·x_strides] if low <= c < high on every axis, else 0
//
// One invocation copies one ELEMENT (a scalar, or four neighbours where both sides are contiguous and aligned).
// Coordinates c run over `extents`, innermost last.
#include "common/index.wgsl"

struct Params {
    extents: vec4<u32>,
    x_strides: vec4<i32>,
    y_strides: vec4<i32>,
    low: vec4<u32>,
    high: vec4<u32>,
    x_offset: i32,
    y_offset: i32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<$ELEMENT>;
@group(0) @binding(2) var<storage, read_write> y: array<$ELEMENT>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    var rest = invocation_index(id, groups);
    if rest >= p.extents.x * p.extents.y * p.extents.z * p.extents.w { return; }
    var c: vec4<u32>;
    c.w = rest % p.extents.w; rest /= p.extents.w;
    c.z = rest % p.extents.z; rest /= p.extents.z;
    c.y = rest % p.extents.y;
    c.x = rest / p.extents.y;
    let s = vec4<i32>(c);
    let from_x = p.x_offset + s.x * p.x_strides.x + s.y * p.x_strides.y + s.z * p.x_strides.z + s.w * p.x_strides.w;
    let to_y = p.y_offset + s.x * p.y_strides.x + s.y * p.y_strides.y + s.z * p.y_strides.z + s.w * p.y_strides.w;
    if all(c >= p.low) && all(c < p.high) {
        y[to_y] = x[from_x];
    } else {
        y[to_y] = $ELEMENT();
    }
}
