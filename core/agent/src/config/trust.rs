//! Whether the environment may be believed.

use std::fs::File;
use std::io::Read;

/// `AT_SECURE` of `<linux/auxvec.h>`.
const AT_SECURE: usize = 23;

/// Whether this process may read settings from its environment. It may not where the kernel
/// raised its privileges at exec (set-user-id programs, file capabilities): whoever started it
/// would choose where files are written and secrets are sent.
///
/// Also `false` when the kernel does not let the process read its own auxiliary vector, which is
/// the case just then; `true` without a mounted `/proc`.
pub fn environment_is_trusted() -> bool {
    let mut vector = Vec::new();
    // The vector has some 20 pairs; 64 KiB is far beyond.
    let read =
        File::open("/proc/self/auxv").and_then(|file| file.take(64 << 10).read_to_end(&mut vector));
    match read {
        Ok(_) => !is_secure(&vector),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn is_secure(vector: &[u8]) -> bool {
    const WORD: usize = size_of::<usize>();
    let (words, _) = vector.as_chunks::<WORD>();
    let (pairs, _) = words.as_chunks::<2>();
    let entry = pairs.iter().find(|[key, _]| usize::from_ne_bytes(*key) == AT_SECURE);
    entry.is_some_and(|[_, value]| usize::from_ne_bytes(*value) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(pairs: &[(usize, usize)]) -> Vec<u8> {
        let words = pairs.iter().flat_map(|&(key, value)| [key, value]);
        words.flat_map(usize::to_ne_bytes).collect()
    }

    #[test]
    fn only_a_secure_execution_distrusts_the_environment() {
        assert!(is_secure(&vector(&[(6, 4096), (AT_SECURE, 1), (0, 0)])));
        assert!(!is_secure(&vector(&[(6, AT_SECURE), (AT_SECURE, 0), (0, 0)])));
        assert!(!is_secure(&vector(&[])));
        assert!(!is_secure(&[1, 2, 3]));
        assert!(environment_is_trusted());
    }
}
