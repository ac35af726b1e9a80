//! How much CPU time this process has used.

use std::time::Duration;

/// One kernel clock tick as `/proc` reports it: `USER_HZ` is 100 on every Linux this runs on.
const TICK: Duration = Duration::from_millis(10);

/// Returns the user and system time of all threads of this process so far, in steps of 10 ms.
///
/// `None` where `/proc` cannot be read.
pub fn used() -> Option<Duration> {
    parse_stat(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Adds `utime` and `stime`, the 14th and 15th field; the 2nd may itself hold spaces.
fn parse_stat(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.saturating_add(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_ticks_are_added_whatever_the_program_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 30 9 9 20 0 1 0";
        assert_eq!(parse_stat(stat), Some(Duration::from_millis(1800)));
        assert_eq!(parse_stat("7 (cut) S 1"), None);
    }
}
