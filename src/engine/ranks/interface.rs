//! The interface of the ranks that run one graph together.

use std::fmt;

use crate::error::Result;

/// What an op exchanges between ranks. Every rank runs the same ops in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The values of all ranks, one after another.
    Gather,
    /// The sum of the values of all ranks, added in the order of ranks.
    Sum,
}

/// The processes that run one graph together, as seen by one of them. All of them make the same calls in the same order,
/// from the thread that opened them.
pub trait Ranks: fmt::Debug + Send + Sync {
    /// The number of this process, from 0.
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// The number of this process among those on the same machine.
    fn local_rank(&self) -> usize;

    /// The number of processes on the same machine.
    fn local_size(&self) -> usize;

    /// The name of the machine.
    fn machine(&self) -> &str;

    /// The bytes of all ranks in their order; each gives equally many.
    ///
    /// # Errors
    /// If the other ranks cannot be reached.
    fn all_gather(&self, own: &[u8]) -> Result<Vec<u8>>;

    /// Block `rank` of the bytes of all ranks, in the order of ranks; each gives one block of equal size for every rank.
    ///
    /// # Errors
    /// If the other ranks cannot be reached.
    fn all_to_all(&self, blocks: &[u8]) -> Result<Vec<u8>>;

    /// From now on, a wait for other ranks that is longer than these seconds ends all processes, with an error that names
    /// the ranks; 0 waits for ever, which is the default.
    fn limit_waits(&self, seconds: u64);

    /// Ends all processes with an exit code.
    fn abort(&self, code: i32) -> !;
}
