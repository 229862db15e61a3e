// Transpose of a bilinear resize along one axis: grad [outer, axis.output, inner] to out [outer, axis.input, inner].
//
//   out[o, i, j] = Σ over outputs d of max(0, 1 − |position(d) / unit − i|) · grad[o, d, j]
//
// The weight is the forward's, in the same integers (common/interpolate.wgsl): the two passes agree on every cell.
// An input gathers the outputs that read it, which are neighbours: there are none if a reduction skipped it.
// One invocation computes one result, or four neighbours along `inner` (VECTOR). ALONG (inner = 1) loads four outputs
// at once. Every sum runs over d in order: deterministic.
#include "common/index.wgsl"
#include "common/interpolate.wgsl"

struct Params { axis: Axis, outer: u32, inner: u32, first_row: u32 }

#if SCALAR
alias Loaded = f32;
alias Stored = f32;
#else
alias Loaded = vec4<f32>;
#if ALONG
alias Stored = f32;
#else
alias Stored = vec4<f32>;
#endif
#endif

@group(0) @binding(0) var<uniform> p: Params;
#read grad: array<Loaded>
#write out: array<Stored>

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
    let extent = u32(p.axis.input);
    if index >= p.outer * extent * p.inner { return; }
    let place = divide(index, p.inner);
    let j = place.y;
    let along = divide(place.x, extent);
    let i = i32(along.y);
    let o = along.x;

    let near = readers(p.axis, i);
    let start = o * u32(p.axis.output) * p.inner + j;
#if ALONG
    var sums = vec4<f32>(0.0);
    for (var d = near.x - near.x % 4; d < near.y; d += 4) {
        let weights = vec4<f32>(reads(p.axis, d, i), reads(p.axis, d + 1, i),
                                reads(p.axis, d + 2, i), reads(p.axis, d + 3, i));
        sums += weights * load_grad((start + u32(d)) / 4u);
    }
    store_out(index, (sums.x + sums.y) + (sums.z + sums.w));
#else
    var sum = Loaded(0.0);
    for (var d = near.x; d < near.y; d++) {
        sum += reads(p.axis, d, i) * load_grad(start + u32(d) * p.inner);
    }
    store_out(index, sum);
#endif
}
