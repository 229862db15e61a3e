// The index of a workgroup, and of an invocation, in a grid whose workgroup count may be folded into y, and which may
// be one of the pieces that a long launch is split into: it starts at row p.first_row and, if a kernel has
// layers, at layer p.first_layer.
const WORKGROUP: u32 = 64u;

fn workgroup_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + (group.y + p.first_row) * groups.x;
}

fn invocation_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + (id.y + p.first_row) * groups.x * WORKGROUP;
}

// (n / d, n % d) with one division, which is slow on software devices.
fn divide(n: u32, d: u32) -> vec2<u32> {
    let quotient = n / d;
    return vec2<u32>(quotient, n - quotient * d);
}
