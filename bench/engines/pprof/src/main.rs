//! The loads under pprof-rs. The two programs made of this differ in the unwinder that Cargo
//! selects.

use bench_load::clock::thread_cpu;
use bench_load::pprof::gzip;
use pprof::protos::Message;
use pprof::{ProfilerGuard, ProfilerGuardBuilder};
use std::time::Duration;

struct Pprof {
    hz: u32,
    guard: Option<ProfilerGuard<'static>>,
}

impl Pprof {
    fn guard(hz: u32) -> Option<ProfilerGuard<'static>> {
        let builder = ProfilerGuardBuilder::default().frequency(hz as i32);
        Some(builder.build().expect("the profiler starts"))
    }

    fn encode(&self) -> Vec<u8> {
        let guard = self.guard.as_ref().expect("it runs");
        let report = guard.report().build().expect("a report");
        gzip(&report.pprof().expect("a profile").encode_to_vec())
    }
}

impl bench_load::Profiler for Pprof {
    fn start(hz: u32, _interval: Duration) -> Self {
        Self { hz, guard: Self::guard(hz) }
    }

    /// Its reports add up from the start of a guard; a new guard starts a new profile.
    fn interval(&mut self, interval: Duration) -> (Vec<Vec<u8>>, Duration) {
        std::thread::sleep(interval);
        let before = thread_cpu();
        let bytes = self.encode();
        self.guard = None;
        self.guard = Self::guard(self.hz);
        (vec![bytes], thread_cpu() - before)
    }

    fn report(&mut self, interval: Duration) -> Vec<Vec<u8>> {
        std::thread::sleep(interval);
        vec![self.encode()]
    }

    fn stop(self) -> Vec<Vec<u8>> {
        vec![self.encode()]
    }
}

fn main() {
    bench_load::main::<Pprof>();
}
