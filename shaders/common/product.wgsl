// The operands of a product of matrices: its extents, the layout of every matrix, and its offset in a layer of the grid.

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

// Offsets of the matrices of a layer of the grid, (split s, batch b), and the range of terms of its sums.
struct Layer { a: u32, b: u32, out: u32, first: u32, end: u32 }

fn layer(z: u32) -> Layer {
    let batch = (z + p.first_layer) % p.batches;
    let split = (z + p.first_layer) / p.batches;
    let batch0 = batch / p.batch1;
    let batch1 = batch % p.batch1;
    var layer = Layer(0u, 0u, 0u, split * p.chunk, min((split + 1u) * p.chunk, p.k));
#if A_PATCHES
#else
    layer.a = batch0 * p.a.batch0 + batch1 * p.a.batch1;
#endif
#if B_PATCHES
#else
    layer.b = batch0 * p.b.batch0 + batch1 * p.b.batch1;
#endif
#if OUT_PATCHES
#else
    layer.out = split * p.split_step + batch0 * p.out.batch0 + batch1 * p.out.batch1;
#endif
    return layer;
}
