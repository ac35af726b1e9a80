//! The pprof labels of goroutines, read at the sample: an object of the test's own calls what
//! `bpf/go.h` has for it.

use crate::gate;
use crate::go_program::{Build, GoProgram, WORKS, has_go};
use aya::EbpfLoader;
use aya::maps::{MapData, RingBuf};
use aya::programs::PerfEvent;
use aya::programs::perf_event::{PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent};
use sondage::resolve::{GoLabels, GoRuntime, Image};
use sondage_ebpf::{GoInfo, GoLabelText};
use std::collections::BTreeMap;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/bpf/go_labels.x86_64.o"
));

fn info_of(program: &Path) -> GoInfo {
    let image = Image::open(program, None).unwrap();
    let GoRuntime { thread_g, g_m, m_curg, g_labels, labels } = GoRuntime::of(&image).unwrap();
    let layout = match labels {
        GoLabels::Absent => 0,
        GoLabels::Map => 1,
        GoLabels::List => 2,
    };
    let info = GoInfo { thread_g, g_m, m_curg, g_labels, layout };
    println!("{info:?}");
    info
}

fn load(program: &GoProgram, info: GoInfo) -> (aya::Ebpf, RingBuf<MapData>) {
    let namespace = std::fs::metadata("/proc/self/ns/pid").unwrap();
    let device = namespace.st_dev();
    let device = u64::from(libc::major(device)) << 20 | u64::from(libc::minor(device));
    let mut ebpf = EbpfLoader::new()
        .override_global("target_tgid", &program.pid, true)
        .override_global("pid_namespace_device", &device, true)
        .override_global("pid_namespace_inode", &namespace.st_ino(), true)
        .override_global("go_info", &info.to_bytes(), true)
        .load(OBJECT)
        .unwrap();
    let ring = RingBuf::try_from(ebpf.take_map("samples").unwrap()).unwrap();
    let program: &mut PerfEvent = ebpf.program_mut("labels_on_cpu").unwrap().try_into().unwrap();
    program.load().unwrap();
    println!("{:?} instructions", program.info().unwrap().verified_instruction_count());
    for cpu in aya::util::online_cpus().unwrap() {
        program
            .attach(
                PerfEventConfig::Software(SoftwareEvent::CpuClock),
                PerfEventScope::AllProcessesOneCpu { cpu },
                SamplePolicy::Frequency(499),
                false,
            )
            .unwrap();
    }
    (ebpf, ring)
}

/// Far more than it takes.
const LONGEST: Duration = Duration::from_secs(120);

/// Samples a program, and counts the labels `work`; "" where there are none.
fn works(program: &mut GoProgram) -> BTreeMap<String, usize> {
    let info = info_of(&program.path);
    let (_ebpf, mut ring) = load(program, info);
    let mut works = BTreeMap::new();
    let started = Instant::now();
    while works.values().sum::<usize>() < 2000 && started.elapsed() < LONGEST {
        sleep(Duration::from_millis(20));
        while let Some(sample) = ring.next() {
            let labels = GoLabelText::read(&sample[16..]).unwrap();
            let pairs: BTreeMap<String, String> = labels.pairs().collect();
            let work = pairs.get("work").cloned().unwrap_or_default();
            if !pairs.is_empty() {
                assert_eq!((pairs.len(), labels.cut), (3, false), "{pairs:?}");
                assert_eq!((&*pairs["team"], &*pairs["long"]), ("été", &*"l".repeat(100)));
            }
            *works.entry(work).or_insert(0) += 1;
        }
    }
    program.stop();
    println!("{works:?}");
    works
}

fn check(build: Build) {
    let mut program = GoProgram::start(build);
    let works = works(&mut program);
    let all: usize = works.values().sum();
    assert!(all > 1000, "{all}");
    // The collector's and the scheduler's own time has none.
    let without = works.get("").copied().unwrap_or_default();
    assert!(without * 4 < all, "{without} of {all}");
    for work in works.keys() {
        assert!(work.is_empty() || WORKS.contains(&&**work), "{work}");
    }
    for work in ["shapes", "panics", "collects", "callsC"] {
        assert!(works[work] * 100 > all, "{work}: {} of {all}", works[work]);
    }
}

#[test]
fn labels_of_go_come_with_the_sample() {
    let test = "labels_of_go_come_with_the_sample";
    let Some(_turn) = gate::enter(test).filter(|_| has_go(test)) else { return };
    check(Build { name: "labels", cgo: false, flags: &[] });
}

#[test]
fn labels_of_go_that_is_stripped_and_has_c_in_it_come_with_the_sample() {
    let test = "labels_of_go_that_is_stripped_and_has_c_in_it_come_with_the_sample";
    let Some(_turn) = gate::enter(test).filter(|_| has_go(test)) else { return };
    check(Build { name: "labels-c", cgo: true, flags: &["-buildmode=pie", "-ldflags=-s -w"] });
}
