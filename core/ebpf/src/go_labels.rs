//! The labels of goroutines, as `bpf/go.h` copies them.

/// Where a Go program keeps what runs: `struct go_info` in `bpf/go.h`, in its order. The crate
/// `sondage` finds it (`sondage::resolve::GoRuntime`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoInfo {
    /// From the thread's pointer to the address of its `g`.
    pub thread_g: i32,
    /// `runtime.g.m`.
    pub g_m: u16,
    /// `runtime.m.curg`.
    pub m_curg: u16,
    /// `runtime.g.labels`.
    pub g_labels: u16,
    /// 0: there are none; 1: a map, up to Go 1.23; 2: a list, from Go 1.24 on.
    pub layout: u16,
}

impl GoInfo {
    /// As the programs read it.
    pub fn to_bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let (start, offsets) = bytes.split_at_mut(4);
        start.copy_from_slice(&self.thread_g.to_ne_bytes());
        let fields = [self.g_m, self.m_curg, self.g_labels, self.layout];
        for (place, field) in offsets.chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&field.to_ne_bytes());
        }
        bytes
    }
}

/// What was copied of a goroutine's labels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoLabelText<'a> {
    /// Pairs of key and value, each after its length.
    text: &'a [u8],
    /// There were more labels, or longer ones, than are copied: ten of them, 63 bytes of a key, 127
    /// of a value and 512 of all.
    pub cut: bool,
}

impl<'a> GoLabelText<'a> {
    /// Reads a `struct go_labels`; `None` where it is shorter than it says.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let ([low, high, _count, flags], text) = bytes.split_first_chunk()?;
        let text = text.get(..usize::from(u16::from_ne_bytes([*low, *high])))?;
        Some(Self { text, cut: flags & 1 != 0 })
    }

    /// The labels, in their order. What is not UTF-8, or was cut within a character, is replaced.
    pub fn pairs(self) -> impl Iterator<Item = (String, String)> + 'a {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            let ([key, value], text) = rest.split_first_chunk()?;
            let (key, text) = text.split_at_checked((*key).into())?;
            let (value, text) = text.split_at_checked((*value).into())?;
            rest = text;
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Some((lossy(key), lossy(value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_as_they_were_copied() {
        let bytes = b"\x0b\0\x02\x01\x01\x02kvw\x02\0ab......";
        let labels = GoLabelText::read(bytes).unwrap();
        assert!(labels.cut);
        let pairs: Vec<_> = labels.pairs().collect();
        assert_eq!(pairs, [("k".into(), "vw".into()), ("ab".into(), String::new())]);
        assert_eq!(GoLabelText::read(&bytes[..10]), None);
        // A length that leads beyond the end.
        let damaged = GoLabelText { text: b"\x01\xffkvw", cut: false };
        assert_eq!(damaged.pairs().count(), 0);
    }

    #[test]
    fn the_information_is_laid_out_as_the_program_reads_it() {
        let info = GoInfo { thread_g: -8, g_m: 48, m_curg: 0xb8, g_labels: 0x160, layout: 2 };
        let words = [0xff, 0xff, 48, 0, 0xb8, 0, 0x60, 1, 2, 0];
        assert_eq!(info.to_bytes()[2..], words);
    }
}
