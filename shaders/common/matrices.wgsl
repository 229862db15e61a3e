// The operands of a product of matrices as cooperative matrices, SIDE × SIDE values distributed over a subgroup. Every
// operand is loaded in its layout, by rows (A_ALONG_K, B_ALONG_N) or by columns.
#include "common/product.wgsl"

alias Left = $MATRIX<$OPERAND, A>;
alias Right = $MATRIX<$OPERAND, B>;
alias Sum = $MATRIX<f32, C>;

const SIDE = $SIDE;

// The matrix of a from row i and column k on. Positions are in variables, since naga 30 drops expressions in the arguments
// of these functions.
fn left_matrix(start: u32, i: u32, k: u32) -> Left {
#if A_ALONG_K
    let at = start + i * p.a.row + k;
    let step = p.a.row;
    return coopLoadT<Left>(&a[at], step);
#else
    let at = start + i + k * p.a.column;
    let step = p.a.column;
    return coopLoad<Left>(&a[at], step);
#endif
}

// The matrix of b from row k and column j on.
fn right_matrix(start: u32, k: u32, j: u32) -> Right {
#if B_ALONG_N
    let at = start + k * p.b.row + j;
    let step = p.b.row;
    return coopLoadT<Right>(&b[at], step);
#else
    let at = start + k + j * p.b.column;
    let step = p.b.column;
    return coopLoad<Right>(&b[at], step);
#endif
}
