//! The compiled programs, and loading them.

use crate::arena::{Arena, RULE_WORDS, Size};
use crate::column::Column;
use crate::error::{Error, ErrorKind};
use crate::module_list::{CONTROL_WORDS, MAX_MODULES, MODULE_WORDS, ModuleList};
use crate::options::Options;
use crate::sys::SharedWords;
use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use aya::{Ebpf, EbpfLoader};
use std::fs;
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;

/// A compiled object and the program in it that takes samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: &'static [u8],
    pub(crate) program: &'static str,
}

/// The object for this processor, if there is one. `build.sh` makes it.
#[cfg(target_arch = "x86_64")]
pub(crate) const OBJECT: Option<Object> = Some(Object {
    bytes: aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/unwind.x86_64.o")),
    program: "sondage_on_cpu",
});

/// The object for this processor, if there is one. `build.sh` makes it.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const OBJECT: Option<Object> = None;

impl Object {
    /// Creates the maps, with room for tables of `size`, and loads the code into them. The
    /// program is not checked by the kernel yet.
    pub(crate) fn load(&self, options: &Options, size: Size) -> Result<Loaded, Error> {
        let (device, inode) = pid_namespace()?;
        let depth = options.max_depth.clamp(1, MAX_FRAMES);
        let entries = |words: usize| {
            u32::try_from(words.div_ceil(WORDS_PER_ENTRY).max(1)).map_err(|_| {
                Error::new(ErrorKind::Full, "the unwind tables are too large for a BPF map")
            })
        };
        let ebpf = EbpfLoader::new()
            .override_global("target_tgid", &options.process, true)
            .override_global("max_depth", &depth, true)
            .override_global("pid_namespace_device", &device, true)
            .override_global("pid_namespace_inode", &inode, true)
            .map_max_entries("rows", entries(size.rows)?)
            .map_max_entries("pages", entries(size.pages)?)
            .map_max_entries("rules", entries(size.rules)?)
            .map_max_entries("ring", ring_size(options.ring_bytes))
            .load(self.bytes)
            .map_err(|error| Error::kernel("cannot load the eBPF object", error))?;
        Ok(Loaded(ebpf))
    }
}

/// `MAX_FRAMES` in `bpf/sample.h`.
const MAX_FRAMES: u32 = 512;

/// `struct pair` and `struct rule` in `bpf/sample.h` are both two words.
const WORDS_PER_ENTRY: usize = RULE_WORDS;

/// The kernel takes powers of two that are whole pages.
fn ring_size(bytes: u32) -> u32 {
    bytes.clamp(1 << 16, 1 << 30).next_power_of_two()
}

/// The own pid namespace as the kernel names it: device and inode of its file. The kernel's
/// number of a device is not the one that `stat` gives.
fn pid_namespace() -> Result<(u64, u64), Error> {
    let path = "/proc/self/ns/pid";
    let metadata =
        fs::metadata(path).map_err(|error| Error::kernel(format!("cannot read {path}"), error))?;
    let device = metadata.st_dev();
    let device = u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device));
    Ok((device, metadata.st_ino()))
}

/// An object whose maps exist.
#[derive(Debug)]
pub(crate) struct Loaded(pub(crate) Ebpf);

impl Loaded {
    pub(crate) fn arena(&self, size: Size) -> Result<Arena, Error> {
        let rows = Column::new("rows", self.shared("rows", size.rows)?);
        let pages = Column::new("pages", self.shared("pages", size.pages)?);
        let rules = Column::new("rules", self.shared("rules", size.rules)?);
        Ok(Arena::new(rows, pages, rules))
    }

    pub(crate) fn module_list(&self) -> Result<ModuleList, Error> {
        let modules = self.shared("modules", MAX_MODULES * MODULE_WORDS)?;
        Ok(ModuleList::new(modules, self.shared("control", CONTROL_WORDS)?))
    }

    pub(crate) fn counters(&mut self) -> Result<Array<MapData, u64>, Error> {
        Array::try_from(self.take("counters")?)
            .map_err(|error| Error::kernel("the eBPF object's counters are no array", error))
    }

    pub(crate) fn label_cells(&mut self) -> Result<HashMap<MapData, u32, u64>, Error> {
        HashMap::try_from(self.take("label_cells")?)
            .map_err(|error| Error::kernel("the eBPF object's label cells are no table", error))
    }

    pub(crate) fn ring(&mut self, name: &str) -> Result<RingBuf<MapData>, Error> {
        RingBuf::try_from(self.take(name)?)
            .map_err(|error| Error::kernel("cannot map the ring of samples", error))
    }

    /// The map stays in the object: the program is loaded with its descriptor later.
    fn shared(&self, name: &str, words: usize) -> Result<SharedWords, Error> {
        let Some(Map::Array(data)) = self.0.map(name) else {
            return Err(missing(name));
        };
        SharedWords::map(data.fd().as_fd(), words.max(1))
            .map_err(|error| Error::kernel(format!("cannot map the eBPF map {name}"), error))
    }

    fn take(&mut self, name: &str) -> Result<Map, Error> {
        self.0.take_map(name).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::Kernel, format!("the eBPF object has no map {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sondage_sampler::{End, FORMAT_VERSION, Rule, Source};

    const HEADER: &str = include_str!("../bpf/sample.h");

    /// The number that the header gives this name, by `#define` or in an `enum`.
    fn number(name: &str) -> usize {
        let line = |line: &&str| line.split_whitespace().any(|word| word == name);
        let line = HEADER.lines().find(line).unwrap_or_else(|| panic!("no {name}"));
        let after = line.split_once(name).unwrap().1.trim_start_matches([' ', '=']);
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap_or_else(|_| panic!("{line}"))
    }

    #[test]
    fn the_header_and_rust_agree_on_every_number() {
        assert_eq!(number("FORMAT_VERSION"), FORMAT_VERSION as usize);
        assert_eq!(number("MAX_FRAMES"), MAX_FRAMES as usize);
        assert_eq!(number("MAX_MODULES"), MAX_MODULES);
        assert_eq!(1 << (number("MODULE_ROUNDS") - 1), MAX_MODULES);
        assert_eq!(number("SOURCE_EBPF"), Source::Ebpf as usize);
        let ends = [
            ("END_ROOT", End::Root),
            ("END_DEPTH", End::Depth),
            ("END_UNKNOWN_CODE", End::UnknownCode),
            ("END_UNSUPPORTED", End::Unsupported),
            ("END_MEMORY", End::Memory),
            ("END_CORRUPT", End::Corrupt),
        ];
        for (name, end) in ends {
            assert_eq!(number(name), end as usize, "{name}");
        }
        let rules = [
            ("CFA_NONE", Rule::NONE),
            ("CFA_SP", Rule::SP),
            ("CFA_FP", Rule::FP),
            ("CFA_PLT", Rule::PLT),
            ("CFA_ROOT", Rule::ROOT),
            ("CFA_SIGNAL", Rule::SIGNAL),
            ("CFA_UNSUPPORTED", Rule::UNSUPPORTED),
            ("CFA_SP_DEREF", Rule::SP_DEREF),
            ("CFA_FP_DEREF", Rule::FP_DEREF),
        ];
        for (name, rule) in rules {
            assert_eq!(number(name), usize::from(rule), "{name}");
        }
    }
}
