//! One process.

use super::interface::Ranks;
use crate::error::Result;

/// A process that shares its work with no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn local_rank(&self) -> usize {
        0
    }

    fn local_size(&self) -> usize {
        1
    }

    fn machine(&self) -> &str {
        ""
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<u8>> {
        Ok(own.to_vec())
    }

    fn all_to_all(&self, blocks: &[u8]) -> Result<Vec<u8>> {
        Ok(blocks.to_vec())
    }

    /// There is nobody to wait for.
    fn limit_waits(&self, _: u64) {}

    fn abort(&self, code: i32) -> ! {
        std::process::exit(code)
    }
}
