// Reduces the middle axis of x [outer, length, inner] to y [outer, chunks, inner].
//
//   y[o, c, i] = SUM, MAX, MIN or ARG_MAX over l in chunk c of x[o, l, i]
//
// One invocation computes one result, or four neighbours along `inner` (VECTOR). It reads its chunk in order, so the
// result does not depend on scheduling. ALONG (inner = 1) loads four neighbours of the chunk at once.
// Ties of ARG_MAX go to the lowest index.
#include "common/index.wgsl"

struct Params { outer: u32, length: u32, inner: u32, chunk: u32, chunks: u32, first_row: u32 }

#if SCALAR
alias Loaded = f32;
alias Value = f32;
alias Mask = bool;
alias Index = i32;
#else
alias Loaded = vec4<f32>;
#if ALONG
alias Value = f32;
alias Mask = bool;
alias Index = i32;
#else
alias Value = vec4<f32>;
alias Mask = vec4<bool>;
alias Index = vec4<i32>;
#endif
#endif

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<Loaded>
#if ARG_MAX
#write y: array<Index>
#else
#write y: array<Value>
#endif

fn better(candidate: Value, best: Value) -> Mask {
#if MIN
    return candidate < best;
#else
    return candidate > best;
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    if index >= p.outer * p.chunks * p.inner { return; }
    let i = index % p.inner;
    let c = (index / p.inner) % p.chunks;
    let o = index / (p.inner * p.chunks);
    let first = c * p.chunk;
    let end = min(first + p.chunk, p.length);

#if ALONG
    let row = o * p.length;
#if SUM
    var sums = vec4<f32>(0.0);
    for (var l = first; l < end; l += 4u) { sums += load_x((row + l) / 4u); }
    store_y(index, (sums.x + sums.y) + (sums.z + sums.w));
#else
    var best = load_x((row + first) / 4u).x;
    var position = i32(first);
    for (var l = first; l < end; l += 4u) {
        let four = load_x((row + l) / 4u);
        for (var lane = 0u; lane < 4u; lane++) {
            if better(four[lane], best) { best = four[lane]; position = i32(l + lane); }
        }
    }
#if ARG_MAX
    store_y(index, position);
#else
    store_y(index, best);
#endif
#endif
#else
    let start = o * p.length * p.inner + i;
#if SUM
    var sum = Value(0.0);
    for (var l = first; l < end; l++) { sum += load_x(start + l * p.inner); }
    store_y(index, sum);
#else
    var best = load_x(start + first * p.inner);
    var position = Index(i32(first));
    for (var l = first; l < end; l++) {
        let candidate = load_x(start + l * p.inner);
        let wins = better(candidate, best);
        best = select(best, candidate, wins);
        position = select(position, Index(i32(l)), wins);
    }
#if ARG_MAX
    store_y(index, position);
#else
    store_y(index, best);
#endif
#endif
#endif
}
