//! The loads under pyroscope-rs, which uploads to the sink that `tables` runs (`BENCH_SINK`, its
//! address; `BENCH_SINK_DIR`, where it puts the bodies).

use bench_load::pprof::pushed;
use pyroscope::PyroscopeAgent;
use pyroscope::backend::{BackendConfig, PprofConfig, pprof_backend};
use pyroscope::pyroscope::{PyroscopeAgentBuilder, PyroscopeAgentRunning};
use std::path::PathBuf;
use std::time::Duration;

struct Pyroscope {
    agent: PyroscopeAgent<PyroscopeAgentRunning>,
    sink: Sink,
}

/// The bodies that the sink has received.
struct Sink {
    directory: PathBuf,
    seen: usize,
}

impl Sink {
    fn uploads(&self) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let mut files: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "push"));
        files.sort();
        files
    }

    /// The profiles uploaded since the last call.
    fn fresh(&mut self) -> Vec<Vec<u8>> {
        let uploads = self.uploads();
        let fresh = uploads[self.seen..].iter().map(|file| std::fs::read(file).expect("a file"));
        let profiles = fresh.flat_map(|body| pushed(&body)).collect();
        self.seen = uploads.len();
        profiles
    }
}

impl bench_load::Profiler for Pyroscope {
    fn start(hz: u32, interval: Duration) -> Self {
        let address = std::env::var("BENCH_SINK").expect("BENCH_SINK");
        let directory = std::env::var("BENCH_SINK_DIR").expect("BENCH_SINK_DIR").into();
        let backend = pprof_backend(PprofConfig { sample_rate: hz }, BackendConfig::default());
        let agent =
            PyroscopeAgentBuilder::new(address, "bench", hz, "pyroscope-rs", "2.1.5", backend)
                .upload_interval(interval)
                .build()
                .and_then(|agent| agent.start());
        Self { agent: agent.expect("the agent starts"), sink: Sink { directory, seen: 0 } }
    }

    /// It uploads by the clock: the interval ends when the next upload arrives.
    fn interval(&mut self, _interval: Duration) -> (Vec<Vec<u8>>, Duration) {
        while self.sink.uploads().len() == self.sink.seen {
            std::thread::sleep(Duration::from_millis(20));
        }
        (self.sink.fresh(), Duration::ZERO)
    }

    fn stop(self) -> Vec<Vec<u8>> {
        let Self { agent, mut sink } = self;
        agent.stop().expect("the agent stops").shutdown();
        sink.fresh()
    }

    fn change_labels(&self, rounds: u32) -> bool {
        let (add, remove) = self.agent.tag_wrapper();
        for _ in 0..rounds {
            add("route".to_owned(), "/orders/{id}".to_owned()).expect("a tag is added");
            remove("route".to_owned(), "/orders/{id}".to_owned()).expect("a tag is removed");
        }
        true
    }
}

fn main() {
    bench_load::main::<Pyroscope>();
}
