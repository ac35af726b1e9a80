use std::time::Duration;
use std::time::Instant;

use super::error::ResolveError;
use super::error::ResolveErrorKind;

/// The longest that one batch may take in one file.
const LIMIT: Duration = Duration::from_secs(5);
/// Steps between two looks at the clock.
const STRIDE: u32 = 4096;

/// Ends work on files made so that it never ends. Every loop whose length the file decides spends
/// its steps here.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    limit: Duration,
    left: u32,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self::with_limit(LIMIT)
    }

    pub(crate) fn with_limit(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, left: STRIDE }
    }

    /// Records `steps` of about equal, small cost.
    pub(crate) fn spend(&mut self, steps: u32) -> Result<(), ResolveError> {
        self.left = self.left.saturating_sub(steps);
        if self.left > 0 {
            return Ok(());
        }
        self.check()
    }

    /// Looks at the clock: before a step that may be long.
    pub(crate) fn check(&mut self) -> Result<(), ResolveError> {
        self.left = STRIDE;
        if self.start.elapsed() <= self.limit {
            return Ok(());
        }
        let message = format!("looking up names takes more than {:?}", self.limit);
        Err(ResolveError::new(ResolveErrorKind::TooSlow, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_when_its_time_is_over_and_not_before() {
        let mut clock = Clock::with_limit(Duration::ZERO);
        let spent = (0..10_u32 * STRIDE).find_map(|_| clock.spend(1).err());
        assert_eq!(spent.unwrap().kind(), ResolveErrorKind::TooSlow);
        let mut clock = Clock::with_limit(Duration::from_secs(3600));
        assert!((0..10 * STRIDE).all(|_| clock.spend(1).is_ok()));
    }
}
