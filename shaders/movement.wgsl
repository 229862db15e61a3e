// A strided copy: permute, slice, pad, flip, concatenate.
//
//   y[y_offset + Σ c·y_strides] = x[x_offset + Σ c·x_strides] if low <= c < high on every axis, else 0
//
// Coordinates c run over `extents`, innermost last. One invocation copies one ELEMENT (a scalar, or four neighbours
// if both sides are contiguous and aligned), or with LINEAR, if y is written completely, four scalars that
// are contiguous in y. Divisions are slow on software devices: there is one for each axis beyond the first.
#include "common/index.wgsl"

struct Params {
    extents: vec4<u32>,
    x_strides: vec4<i32>,
    y_strides: vec4<i32>,
    low: vec4<u32>,
    high: vec4<u32>,
    x_offset: i32,
    y_offset: i32,
    axes: u32,
    count: u32,
    first_row: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<$ELEMENT>
#write y: array<$RESULT>

// The coordinates of an element, counted along the extents.
fn coordinates(index: u32) -> vec4<u32> {
    var c = vec4<u32>(0u, 0u, 0u, index);
    if p.axes > 1u {
        c.z = c.w / p.extents.w;
        c.w -= c.z * p.extents.w;
    }
    if p.axes > 2u {
        c.y = c.z / p.extents.z;
        c.z -= c.y * p.extents.z;
    }
    if p.axes > 3u {
        c.x = c.y / p.extents.y;
        c.y -= c.x * p.extents.y;
    }
    return c;
}

// The value at c. Outside the valid range, the nearest valid element is read and not used.
fn element(c: vec4<u32>) -> $ELEMENT {
    let s = vec4<i32>(clamp(c, p.low, p.high - 1u));
    let inside = all(c >= p.low) && all(c < p.high);
    return select($ELEMENT(), load_x(u32(p.x_offset + dot(s, p.x_strides))), inside);
}

#if LINEAR
fn next(c: vec4<u32>) -> vec4<u32> {
    var n = c;
    n.w += 1u;
    if n.w == p.extents.w {
        n.w = 0u;
        n.z += 1u;
        if n.z == p.extents.z {
            n.z = 0u;
            n.y += 1u;
            if n.y == p.extents.y {
                n.y = 0u;
                n.x += 1u;
            }
        }
    }
    return n;
}
#endif

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.count { return; }
#if LINEAR
    let c0 = coordinates(4u * index);
    let c1 = next(c0);
    let c2 = next(c1);
    let c3 = next(c2);
    store_y(u32(p.y_offset) + index, $RESULT(element(c0), element(c1), element(c2), element(c3)));
#else
    let c = coordinates(index);
    store_y(u32(p.y_offset + dot(vec4<i32>(c), p.y_strides)), element(c));
#endif
}
