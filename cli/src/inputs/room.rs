//! The memory that what is read may take.

use crate::error::Error;

/// Some 25 million samples of different stacks and labels.
const MAX_BYTES: usize = 4 << 30;

/// Adds up what profiles need, and looks at what their sums hold only when that may be too much.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// At least as much as is held.
    bound: usize,
}

impl Room {
    /// Counts a profile of `bytes`, which is among what is `held` by now.
    pub(super) fn take(&mut self, bytes: usize, held: impl Fn() -> usize) -> Result<(), Error> {
        self.bound = self.bound.saturating_add(bytes);
        if self.bound > MAX_BYTES {
            self.bound = held();
        }
        if self.bound > MAX_BYTES {
            let message = "the profiles have too many different stacks and labels to be read \
                           together (4 GiB): choose fewer by --since, --service or --label";
            return Err(Error::new(message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_may_be_read_as_long_as_little_is_held() {
        let mut room = Room::default();
        assert!((0..100).all(|_| room.take(MAX_BYTES / 3, || 1000).is_ok()));
        assert!(room.take(MAX_BYTES, || MAX_BYTES).is_ok());
        let error = room.take(1, || MAX_BYTES + 1).unwrap_err();
        assert!(error.message.contains("--since"), "{}", error.message);
    }
}
