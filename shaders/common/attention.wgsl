// Common parts of the attention kernels. Every image and head has a matrix of scores; an invocation traverses ROWS of
// its rows, eight columns at a time, and keeps only these in registers. Tokens are [B, tokens, C], of which a head owns
// CHUNKS neighbouring vec4s. Rows and columns beyond the last are read from clamped addresses; such rows are not
// stored, such columns get weight 0. No workgroup memory and no barrier.
const ROWS: u32 = $ROWS;
const CHUNKS: u32 = $CHUNKS;

struct Params {
    rows: u32, columns: u32, heads: u32, width: u32, scale: f32, layers: u32, chunk: u32,
    first_row: u32, first_layer: u32,
}

// For every row, a value for each of eight columns.
struct Tile { near: array<vec4<f32>, ROWS>, far: array<vec4<f32>, ROWS> }

// Start of the rows of an invocation, or of eight columns.
fn row_starts(batch: u32, head: u32, first: u32) -> array<u32, ROWS> {
    var starts: array<u32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
        starts[r] = (batch * p.rows + min(first + r, p.rows - 1u)) * p.width + head * CHUNKS;
    }
    return starts;
}

fn column_starts(batch: u32, head: u32, first: u32) -> array<u32, 8> {
    var starts: array<u32, 8>;
    for (var j = 0u; j < 8u; j++) {
        starts[j] = (batch * p.columns + min(first + j, p.columns - 1u)) * p.width + head * CHUNKS;
    }
    return starts;
}

// Which of eight columns are before the end.
fn before(end: u32, first: u32) -> array<vec4<bool>, 2> {
    let index = vec4<u32>(first, first + 1u, first + 2u, first + 3u);
    return array<vec4<bool>, 2>(index < vec4<u32>(end), index + 4u < vec4<u32>(end));
}
