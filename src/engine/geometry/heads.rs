//! The division of channels among attention heads.

/// The division of channels among heads, and the factor of the scores.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Heads {
    /// Heads; head j owns channels \[j·C/heads, (j+1)·C/heads).
    pub count: usize,
    /// Factor of q·k.
    pub scale: f64,
}

/// Which operand a gradient is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gradient {
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
}
