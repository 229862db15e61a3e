// Common parts of an iteration of refinement and its gradient: masks [batch, height, width, slots], with slots in
// groups of four, and their classes [batch, slots]. Binding 1 is the gathered values, binding 2 the weights.
#include "common/index.wgsl"
#include "common/ring.wgsl"

struct Params {
    batch: u32, height: u32, width: u32, rings: u32,
    dilations: array<vec4<u32>, 2>,
    fours: u32,
    first_row: u32, first_layer: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read extent: array<i32>
#read classes: array<vec4<i32>>
#write out: array<vec4<f32>>

// Whether any of four slots holds a class.
fn in_use(image: u32, four: u32) -> bool {
    return any(load_classes(image * p.fours + four) >= vec4<i32>(0));
}
