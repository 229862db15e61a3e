// The operands of a product of matrices: its extents, and the layout and offset of every matrix.

struct View {
    batch0: u32, batch1: u32, row: u32, column: u32,
}

struct Params {
    m: u32, n: u32, k: u32, chunk: u32,
    a: $A_LAYOUT,
    b: $B_LAYOUT,
    out: $OUT_LAYOUT,
    batch1: u32, batches: u32, split_step: u32,
    first_row: u32, first_layer: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
#read a: array<$A_ELEMENT>
#read b: array<$B_ELEMENT>
#if BIAS
#read bias: array<$OUT_ELEMENT>
#endif
#write out: array<$OUT_ELEMENT>
