// Picks one map per slot from maps [batch, channels, plane] and moves the slots to the last axis: out [batch, plane,
// slots].
//
//   out[b, s, k] = maps[b, classes[b, k] − first, s], 0 if that index is not a channel
//
// BLOCK (plane and slots divisible by 4): one invocation moves four pixels of four slots, with loads along the plane
// and stores along the slots. Otherwise one invocation moves one element. Copies only: deterministic.
#include "common/index.wgsl"

struct Params { batch: u32, channels: u32, plane: u32, slots: u32, first: i32, first_row: u32 }

#if BLOCK
alias Value = vec4<f32>;
alias Class = vec4<i32>;
#else
alias Value = f32;
alias Class = i32;
#endif

@group(0) @binding(0) var<uniform> p: Params;
#read maps: array<Value>
#read classes: array<Class>
#write out: array<Value>

fn pick(b: u32, channel: i32, s: u32) -> Value {
    if channel < 0 || channel >= i32(p.channels) { return Value(0.0); }
    return load_maps((b * p.channels + u32(channel)) * p.plane + s);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.batch * p.plane * p.slots { return; }
    let k = index % p.slots;
    let s = (index / p.slots) % p.plane;
    let b = index / (p.slots * p.plane);
    let channel = load_classes(b * p.slots + k) - p.first;
#if BLOCK
    let four = transpose(mat4x4<f32>(pick(b, channel.x, s), pick(b, channel.y, s), pick(b, channel.z, s),
                                     pick(b, channel.w, s)));
    let start = (b * p.plane + s) * 4u * p.slots + k;
    for (var pixel = 0u; pixel < 4u; pixel++) { store_out(start + pixel * p.slots, four[pixel]); }
#else
    store_out(index, pick(b, channel, s));
#endif
}
