//! The rates of a device, from which the time of its dispatches is estimated.

/// What a device does in a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Pace {
    /// Arithmetic operations.
    pub operations: u64,
    /// Bytes that are read or written.
    pub bytes: u64,
}

/// 10¹² operations and 10¹¹ bytes: less than any graphics card of the last ten years does, but more than many graphics
/// units in processors and phones.
impl Default for Pace {
    fn default() -> Self {
        Pace { operations: 1_000_000_000_000, bytes: 100_000_000_000 }
    }
}

impl Pace {
    /// The estimated nanoseconds of a dispatch with so many operations that moves so many bytes: those of the slower of
    /// both.
    pub fn time(self, operations: u64, bytes: u64) -> u64 {
        let time = |amount: u64, rate: u64| (u128::from(amount) * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
        u64::try_from(time(operations, self.operations).max(time(bytes, self.bytes))).unwrap_or(u64::MAX)
    }

    /// The lower rate of both, each.
    pub fn at_most(self, other: Pace) -> Pace {
        Pace { operations: self.operations.min(other.operations), bytes: self.bytes.min(other.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects: a dispatch takes the time of its arithmetic or of its bytes, whichever is longer, and no amount overflows.
    #[test]
    fn the_slower_of_both_counts() {
        let pace = Pace { operations: 2_000_000_000, bytes: 1_000_000_000 };
        assert_eq!(pace.time(7, 0), 4);
        assert_eq!(pace.time(7, 100), 100);
        assert_eq!(Pace { operations: 0, bytes: 1 }.time(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!(Pace::default().at_most(pace), pace);
    }
}
