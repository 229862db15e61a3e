// Four reals as halves in eight bytes, or two in four: the conversions of load_x and store_x if x is stored in half
// precision. Numbers beyond the largest half become it, but infinities and NaN are kept, to be detected.
// Reference: src/engine/reference/half.rs.

// Not rounded by pack2x16float, which may round to either neighbour: drivers that truncate would shrink every value.
fn to_halves(x: vec4<f32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(x);
    let size = bits & vec4<u32>(0x7fffffffu);
    // The nearest multiple of 2^13 units, ties to even, with the exponent's bias changed from 127 to 15.
    let even = (size >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = (size - 0x37fff001u + even) >> vec4<u32>(13u);
    // Below 2^-14, multiples of 2^-24: the last bit of numbers from 0.5 to 1.
    let small = bitcast<vec4<u32>>(bitcast<vec4<f32>>(min(size, vec4<u32>(0x38800000u))) + 0.5) - 0x3f000000u;
    let finite = select(min(normal, vec4<u32>(0x7bffu)), small, size < vec4<u32>(0x38800000u));
    let endless = select(vec4<u32>(0x7e00u), vec4<u32>(0x7c00u), size == vec4<u32>(0x7f800000u));
    let half = select(finite, endless, size >= vec4<u32>(0x7f800000u)) | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
    return half.xz | (half.yw << vec2<u32>(16u));
}

fn to_half_pair(x: vec2<f32>) -> u32 {
    return to_halves(x.xyxy).x;
}

// In integers too: unpack2x16float needs a feature that some software drivers lack.
fn from_halves(x: vec2<u32>) -> vec4<f32> {
    let half = vec4<u32>(x.x, x.x >> 16u, x.y, x.y >> 16u);
    let size = half & vec4<u32>(0x7fffu);
    let small = bitcast<vec4<u32>>(vec4<f32>(size) * 0x1p-24f);
    let normal = (size << vec4<u32>(13u)) + 0x38000000u;
    let endless = normal + 0x38000000u;
    let finite = select(normal, small, size < vec4<u32>(0x400u));
    let bits = select(finite, endless, size >= vec4<u32>(0x7c00u));
    return bitcast<vec4<f32>>(bits | ((half & vec4<u32>(0x8000u)) << vec4<u32>(16u)));
}

fn from_half_pair(x: u32) -> vec2<f32> {
    return from_halves(vec2<u32>(x)).xy;
}
