// Common parts of an iteration of refinement and its gradient: masks [batch, height, width, slots], with slots in
// groups of four, and their classes [batch, slots]. The kernel declares p.fours, the groups of a pixel. Binding 1 is the
// gathered values, binding 2 the weights.
#include "common/index.wgsl"
#include "common/extent.wgsl"

#read extent: array<i32>
#read classes: array<vec4<i32>>
#write out: array<vec4<f32>>

// Whether any of four slots holds a class.
fn in_use(image: u32, four: u32) -> bool {
    return any(load_classes(image * p.fours + four) >= vec4<i32>(0));
}
