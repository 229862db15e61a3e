// The conversions of half.wgsl by functions of WGSL, which lets a device round to either neighbour, and read the smallest
// halves as 0: for devices on which a self-test has shown that they do neither. It does not test NaN.
fn to_halves(x: vec4<f32>) -> vec2<u32> {
    let endless = (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) >= vec4<u32>(0x7f800000u);
    let most = vec4<f32>(65504.0);
    let inside = select(clamp(x, -most, most), x, endless);
    return vec2<u32>(pack2x16float(inside.xy), pack2x16float(inside.zw));
}

fn to_half_pair(x: vec2<f32>) -> u32 {
    return to_halves(x.xyxy).x;
}

fn from_halves(x: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(x.x), unpack2x16float(x.y));
}

fn from_half_pair(x: u32) -> vec2<f32> {
    return unpack2x16float(x);
}
