// Converts bytes to reals with a table for each channel.
//
//   out[i] = table[i % channels, byte i]; byte i is the bits 8·(i % 4) to 8·(i % 4) + 7 of word i / 4
//
// One invocation computes one element, or the four of a word (VECTOR). Copies only: deterministic.
#include "common/index.wgsl"

struct Params { length: u32, channels: u32, first_row: u32 }

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<$OUT>;

fn entry(word: u32, place: u32, channel: u32) -> f32 {
    return table[channel * 256u + ((word >> (8u * place)) & 255u)];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = invocation_index(id, groups);
    if i >= p.length { return; }
#if VECTOR
    let word = words[i];
    let first = 4u * i % p.channels;
    let second = select(first + 1u, 0u, first + 1u == p.channels);
    let third = select(second + 1u, 0u, second + 1u == p.channels);
    let fourth = select(third + 1u, 0u, third + 1u == p.channels);
    out[i] = vec4<f32>(entry(word, 0u, first), entry(word, 1u, second), entry(word, 2u, third), entry(word, 3u, fourth));
#else
    out[i] = entry(words[i / 4u], i % 4u, i % p.channels);
#endif
}
