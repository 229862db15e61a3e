// Bilinear resize without antialiasing of x [outer, rows.input, columns.input, inner] to
// out [outer, rows.output, columns.output, inner].
//
//   out[o, y, x, i] = Σ over the two rows and two columns next to the source position of weight · x[o, row, column, i]
//
// The source position of an output is a fraction of integers, see common/interpolate.wgsl. Interpolation is
// a + t·(b − a), which keeps a constant map exactly constant.
// VECTOR, SCALAR: one invocation computes one output, or four neighbours along `inner`.
// NEAR, FAR (inner = 1): one invocation computes four neighbours along x; NEAR, for enlargement by 1.5 and more, where
// these are within four columns, loads each column once.
// ONTO: the result is added to `base`, which has the shape of `out`.
// Every output is computed by one invocation in one order: deterministic.
#include "common/index.wgsl"
#include "common/interpolate.wgsl"

struct Params { rows: Axis, columns: Axis, outer: u32, inner: u32, first_row: u32 }

#if VECTOR
alias Loaded = vec4<f32>;
#else
alias Loaded = f32;
#endif
#if SCALAR
alias Stored = f32;
#else
alias Stored = vec4<f32>;
#endif

@group(0) @binding(0) var<uniform> p: Params;
#read x: array<Loaded>
#if ONTO
#read base: array<Stored>
#endif
#write out: array<Stored>

// Column `column` between the rows that start at `above` and `below`.
fn between(above: u32, below: u32, column: i32, t: f32) -> Loaded {
    let at = u32(min(column, p.columns.input - 1)) * p.inner;
    let a = load_x(above + at);
    return a + t * (load_x(below + at) - a);
}

fn store(index: u32, value: Stored) {
#if ONTO
    store_out(index, load_base(index) + value);
#else
    store_out(index, value);
#endif
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let index = invocation_index(id, groups);
#if NEAR
    let width = u32(p.columns.output) / 4u;
    let step = 4;
#else
#if FAR
    let width = u32(p.columns.output) / 4u;
    let step = 4;
#else
    let width = u32(p.columns.output);
    let step = 1;
#endif
#endif
    let height = u32(p.rows.output);
    if index >= p.outer * height * width * p.inner { return; }
    let pixel = divide(index, p.inner);
    let i = pixel.y;
    let across = divide(pixel.x, width);
    let first = i32(across.y) * step;
    let down = divide(across.x, height);
    let y = position(p.rows, i32(down.y));
    let row = cell(p.rows, y);
    let t = fraction(p.rows, y, row);
    let line = u32(p.columns.input) * p.inner;
    let map = down.x * u32(p.rows.input);
    let above = (map + u32(row)) * line + i;
    let below = (map + u32(min(row + 1, p.rows.input - 1))) * line + i;

#if NEAR
    let at = vec4<i32>(position(p.columns, first), position(p.columns, first + 1),
                       position(p.columns, first + 2), position(p.columns, first + 3));
    let column = cell(p.columns, at.x);
    let c0 = between(above, below, column, t);
    let c1 = between(above, below, column + 1, t);
    let c2 = between(above, below, column + 2, t);
    let c3 = between(above, below, column + 3, t);
    let offset = at - column * p.columns.unit;
    let second = offset >= vec4<i32>(p.columns.unit);
    let third = offset >= vec4<i32>(2 * p.columns.unit);
    let left = select(select(vec4<f32>(c0), vec4<f32>(c1), second), vec4<f32>(c2), third);
    let right = select(select(vec4<f32>(c1), vec4<f32>(c2), second), vec4<f32>(c3), third);
    let whole = select(vec4<i32>(0), vec4<i32>(1), second) + select(vec4<i32>(0), vec4<i32>(1), third);
    let s = vec4<f32>(offset - whole * p.columns.unit) * p.columns.inverse;
    store(index, left + s * (right - left));
#else
#if FAR
    var four: vec4<f32>;
    for (var lane = 0; lane < 4; lane++) {
        let at = position(p.columns, first + lane);
        let column = cell(p.columns, at);
        let left = between(above, below, column, t);
        four[lane] = left + fraction(p.columns, at, column) * (between(above, below, column + 1, t) - left);
    }
    store(index, four);
#else
    let at = position(p.columns, first);
    let column = cell(p.columns, at);
    let left = between(above, below, column, t);
    store(index, left + fraction(p.columns, at, column) * (between(above, below, column + 1, t) - left));
#endif
#endif
}
