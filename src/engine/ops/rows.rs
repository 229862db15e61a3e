//! Kernels that traverse rows of channels: the size of loads, the invocations per row, and the split of columns.

use crate::engine::graph::TensorType;
use crate::engine::kernel::{LONGEST_ROW, Launch, MOST_TURNS, Shader, Slot, Target};

/// The elements of one load of a kernel along the last axis.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    /// Elements.
    pub count: usize,
    /// WGSL type.
    pub value: &'static str,
}

impl Lanes {
    /// Four neighbours if the extent allows, else one.
    pub(crate) fn of(extent: usize) -> Self {
        Lanes::at_most(4, extent)
    }

    /// Four or two neighbours, as `most` says, if the extent is a multiple of four, else one.
    pub(crate) fn at_most(most: usize, extent: usize) -> Self {
        match (extent.is_multiple_of(4), most) {
            (true, 4) => Lanes { count: 4, value: "vec4<f32>" },
            (true, 2) => Lanes { count: 2, value: "vec2<f32>" },
            _ => Lanes { count: 1, value: "f32" },
        }
    }

    /// Sets the type `VALUE` of a launch's elements, which are at `slots`.
    pub(crate) fn of_launch(self, launch: Launch, slots: &[Slot]) -> Launch {
        let launch = launch.define("VALUE", self.value);
        match self.count {
            4 => launch.define("VECTOR", 1).fours(slots),
            2 => launch.define("PAIRS", 1).fours(slots),
            _ => launch,
        }
    }
}

/// Rows of a chunk (at least `least`, but for the last), and the number of chunks, at least 1 of each, such that `columns`
/// sums per chunk keep the device busy, and nobody makes too many turns, so many for each row.
pub(crate) fn split_rows(rows: usize, least: usize, columns: usize, turns: usize, target: Target) -> (usize, usize) {
    // A sum over no rows is one over a chunk of none.
    let rows = rows.max(1);
    let chunks = (target.busy() / columns).clamp(1, rows.div_ceil(least));
    let chunk = rows.div_ceil(chunks).min((MOST_TURNS / turns).max(1));
    (chunk, rows.div_ceil(chunk))
}

/// Sums over all rows of the columns of a tensor \[…, C\], in chunks of rows that are added by a second launch.
pub(crate) struct ColumnSums {
    /// Rows of the tensor.
    pub rows: usize,
    /// The elements of one load along a row.
    pub lanes: Lanes,
    /// Loads of a row.
    pub columns: usize,
    /// Rows of a chunk.
    pub chunk: usize,
    /// Number of chunks.
    pub chunks: usize,
}

impl ColumnSums {
    /// Those of `elements` in rows of so many channels.
    pub(crate) fn of(elements: usize, channels: usize, target: Target) -> Self {
        let (rows, lanes) = (elements / channels, Lanes::of(channels));
        let columns = channels / lanes.count;
        let (chunk, chunks) = split_rows(rows, 32, columns, 1, target);
        ColumnSums { rows, lanes, columns, chunk, chunks }
    }

    /// A launch with these sizes as its first parameters.
    pub(crate) fn launch(&self, shader: Shader, invocations: usize) -> Launch {
        Launch::new(shader, invocations, 1).uints(&[self.rows, self.columns, self.chunk, self.chunks])
    }
}

/// Refuses rows that are too long for any number of invocations.
pub(crate) fn check_rows(x: &TensorType) -> Result<(), String> {
    if x.shape.last().is_some_and(|&width| width > LONGEST_ROW) {
        return Err(format!("takes rows of at most {LONGEST_ROW} elements"));
    }
    Ok(())
}

/// The launch of a kernel that includes `shaders/common/rows.wgsl`, on `rows` rows of so many channels; `slots` are
/// bound by the elements that it loads. Its first parameters are the rows and the loads of each.
pub(crate) fn launch_rows(shader: Shader, rows: usize, channels: usize, target: Target, slots: &[Slot]) -> Launch {
    let (together, lanes) = (target.lanes(channels), Lanes::of(channels));
    let launch =
        Launch::new(shader, rows * together, 1).define("LANES", together).uints(&[rows, channels / lanes.count]);
    let launch = lanes.of_launch(launch, slots);
    if together > 1 { launch.define("SHARED", 1) } else { launch }
}
