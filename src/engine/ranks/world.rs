//! A handle to the ranks of this process.

use std::ops::Deref;
use std::sync::Arc;

use super::alone::Alone;
use super::interface::Ranks;
use crate::error::Result;

/// All ranks that run the same graphs, as seen by one of them. By default there is only one.
#[derive(Clone, Debug)]
pub struct World(Arc<dyn Ranks>);

impl World {
    /// The world of `ranks`.
    pub fn new(ranks: impl Ranks + 'static) -> Self {
        World(Arc::new(ranks))
    }

    /// Whether there is more than one rank.
    pub fn is_shared(&self) -> bool {
        self.size() > 1
    }

    /// Whether this rank prints and writes files.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The messages of all ranks in their order, of any lengths.
    ///
    /// # Errors
    /// If the other ranks cannot be reached.
    pub fn gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>> {
        gather(&*self.0, message)
    }

    /// The numbers of all ranks in their order.
    ///
    /// # Errors
    /// If the other ranks cannot be reached.
    pub fn numbers(&self, own: u64) -> Result<Vec<u64>> {
        let all = self.all_gather(&own.to_le_bytes())?;
        Ok(all.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect())
    }

    /// Whether any rank says so.
    ///
    /// # Errors
    /// If the other ranks cannot be reached.
    pub fn any(&self, own: bool) -> Result<bool> {
        Ok(if self.is_shared() { self.all_gather(&[u8::from(own)])?.contains(&1) } else { own })
    }
}

/// The messages of all ranks in their order, of any lengths.
pub(super) fn gather(ranks: &dyn Ranks, message: &[u8]) -> Result<Vec<Vec<u8>>> {
    let lengths = ranks.all_gather(&(message.len() as u64).to_le_bytes())?;
    let lengths: Vec<_> = lengths.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
    let longest = lengths.iter().copied().fold(1, usize::max);
    let mut padded = message.to_vec();
    padded.resize(longest, 0);
    let all = ranks.all_gather(&padded)?;
    Ok(all.chunks(longest).zip(lengths).map(|(message, length)| message[..length].to_vec()).collect())
}

impl Default for World {
    fn default() -> Self {
        World::new(Alone)
    }
}

impl Deref for World {
    type Target = dyn Ranks;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
