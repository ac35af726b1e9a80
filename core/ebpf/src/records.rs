//! The records of the ring, as `struct record` in `bpf/sample.h`.

/// Bytes before the words: thread id, then the number of words.
const PREFIX: usize = 8;

/// Reads one record: copies the sample's words into `words` and returns the thread's id, or
/// `None` when the record is not as long as it says.
pub(crate) fn read(record: &[u8], words: &mut Vec<u64>) -> Option<u32> {
    let (prefix, body) = record.split_at_checked(PREFIX)?;
    let (tid, length) = prefix.split_at_checked(4)?;
    let tid = u32::from_ne_bytes(tid.try_into().ok()?);
    let length = u32::from_ne_bytes(length.try_into().ok()?);
    let body = body.get(..usize::try_from(length).ok()?.checked_mul(8)?)?;
    words.clear();
    for word in body.chunks_exact(8) {
        words.push(u64::from_ne_bytes(word.try_into().ok()?));
    }
    Some(tid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_shorter_than_it_says_is_refused() {
        let mut bytes = Vec::new();
        bytes.extend(7u32.to_ne_bytes());
        bytes.extend(2u32.to_ne_bytes());
        bytes.extend(0x0102_0304_0506_0708u64.to_ne_bytes());
        bytes.extend(9u64.to_ne_bytes());
        let mut words = vec![1, 2, 3];
        assert_eq!(read(&bytes, &mut words), Some(7));
        assert_eq!(words, [0x0102_0304_0506_0708, 9]);
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], &mut words), None, "{length} bytes");
        }
        bytes[4..8].fill(0xff);
        assert_eq!(read(&bytes, &mut words), None);
    }
}
