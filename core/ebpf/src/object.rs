//! The compiled programs, and loading them.

use crate::error::{Error, ErrorKind};
use crate::kernel_maps::KernelMaps;
use crate::processes::MAPPING_WORDS;
use crate::sys::SharedWords;
use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use aya::{Ebpf, EbpfLoader};
use std::fs;
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;

/// A compiled object and the program in it that takes samples of running threads.
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

/// What the programs are told when they are loaded, and how large their maps are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loading {
    pub(crate) every_process: bool,
    pub(crate) kernel_stacks: bool,
    pub(crate) max_depth: u32,
    pub(crate) ring_bytes: u32,
    pub(crate) mappings: u32,
    pub(crate) processes: u32,
    /// Threads whose waiting is looked at.
    pub(crate) threads: u32,
    pub(crate) walks_a_second: u32,
}

impl Object {
    /// Creates the maps and loads the code into them. The programs are not checked by the kernel
    /// yet.
    pub(crate) fn load(&self, loading: &Loading) -> Result<Loaded, Error> {
        let (device, inode) = pid_namespace()?;
        let depth = loading.max_depth.clamp(1, MAX_FRAMES);
        let (every_process, kernel_stacks) =
            (u32::from(loading.every_process), u32::from(loading.kernel_stacks));
        let ebpf = EbpfLoader::new()
            .override_global("every_process", &every_process, true)
            .override_global("kernel_stacks", &kernel_stacks, true)
            .override_global("max_depth", &depth, true)
            .override_global("walks_a_second", &loading.walks_a_second, true)
            .override_global("pid_namespace_device", &device, true)
            .override_global("pid_namespace_inode", &inode, true)
            .map_max_entries("mappings", loading.mappings.max(1))
            .map_max_entries("processes", loading.processes.max(1))
            .map_max_entries("python_processes", loading.processes.max(1))
            .map_max_entries("threads", loading.threads.max(1))
            .map_max_entries("ring", ring_size(loading.ring_bytes))
            .load(self.bytes)
            .map_err(|error| Error::kernel("cannot load the eBPF object", error))?;
        Ok(Loaded(ebpf))
    }
}

/// `MAX_FRAMES` in `bpf/sample.h`.
pub(crate) const MAX_FRAMES: u32 = 512;

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
    pub(crate) fn maps(&mut self, mappings: u32) -> Result<KernelMaps, Error> {
        let processes = HashMap::try_from(self.take("processes")?)
            .map_err(|error| Error::kernel("the eBPF object's processes are no map", error))?;
        let mappings = self.shared("mappings", (mappings.max(1) * MAPPING_WORDS) as usize)?;
        let pythons = HashMap::try_from(self.take("python_processes")?)
            .map_err(|error| Error::kernel("the eBPF object's interpreters are no map", error))?;
        Ok(KernelMaps::new(self.take("chunks")?, mappings, processes, pythons))
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
        SharedWords::map(data.fd().as_fd(), words)
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
    use crate::kernel_maps::{CHUNK_WORDS, MAX_CHUNKS};
    use crate::processes::MAX_PROCESS_MAPPINGS;
    use crate::stack_copy::PART;
    use sondage_sampler::{End, FORMAT_VERSION, Rule, Source};

    const HEADER: &str = include_str!("../bpf/sample.h");

    /// The number that the header gives this name, by `#define` or in an `enum`.
    fn number(name: &str) -> usize {
        let line = |line: &&str| line.split_whitespace().any(|word| word == name);
        let line = HEADER.lines().find(line).unwrap_or_else(|| panic!("no {name}"));
        let after = line.split_once(name).unwrap().1.trim_start_matches([' ', '=', '-']);
        let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap_or_else(|_| panic!("{line}"))
    }

    #[test]
    fn the_header_and_rust_agree_on_every_number() {
        assert_eq!(number("FORMAT_VERSION"), FORMAT_VERSION as usize);
        assert_eq!(number("MAX_FRAMES"), MAX_FRAMES as usize);
        let mappings = MAX_PROCESS_MAPPINGS as usize;
        assert_eq!(number("MAX_PROCESS_MAPPINGS"), mappings);
        assert_eq!(1 << (number("MAPPING_ROUNDS") - 1), mappings);
        assert_eq!(2 << number("CHUNK_PAIRS_SHIFT"), CHUNK_WORDS as usize);
        assert_eq!(number("MAX_CHUNKS"), MAX_CHUNKS as usize);
        assert_eq!(number("COPY_PART"), PART as usize);
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
            ("CFA_FP_ANY_STACK", Rule::FP_ANY_STACK),
        ];
        assert_eq!(-(number("RA_INTERRUPTED") as i32), i32::from(Rule::INTERRUPTED));
        for (name, rule) in rules {
            assert_eq!(number(name), usize::from(rule), "{name}");
        }
    }
}
