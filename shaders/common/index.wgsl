// The index of a workgroup, and of an invocation, in a grid whose workgroup count may be folded into y, and which may be
// one of several that a long launch was cut into: this one starts at FIRST.
const WORKGROUP: u32 = 64u;
#if FIRST_ROW
const FIRST: u32 = $FIRST_ROW;
#else
const FIRST: u32 = 0u;
#endif

fn workgroup_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + (group.y + FIRST) * groups.x;
}

fn invocation_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + (id.y + FIRST) * groups.x * WORKGROUP;
}

// (n / d, n % d) by one division: it is slow on software devices.
fn divide(n: u32, d: u32) -> vec2<u32> {
    let quotient = n / d;
    return vec2<u32>(quotient, n - quotient * d);
}
