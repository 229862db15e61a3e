// The index of an invocation in a grid whose workgroup count may be folded into y.
const WORKGROUP: u32 = 64u;

fn invocation_index(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.x + id.y * groups.x * WORKGROUP;
}

// (n / d, n % d) by one division: it is slow on software devices.
fn divide(n: u32, d: u32) -> vec2<u32> {
    let quotient = n / d;
    return vec2<u32>(quotient, n - quotient * d);
}
