//! The loads under pyroscope-rs, which uploads to the sink of `tables`.

use bench_load::Uploads;
use pyroscope::PyroscopeAgent;
use pyroscope::backend::{BackendConfig, PprofConfig, pprof_backend};
use pyroscope::pyroscope::{PyroscopeAgentBuilder, PyroscopeAgentRunning};
use std::time::Duration;

struct Pyroscope {
    agent: PyroscopeAgent<PyroscopeAgentRunning>,
    uploads: Uploads,
}

impl bench_load::Profiler for Pyroscope {
    fn start(hz: u32, interval: Duration) -> Self {
        let (address, uploads) = Uploads::open();
        let backend = pprof_backend(PprofConfig { sample_rate: hz }, BackendConfig::default());
        let agent =
            PyroscopeAgentBuilder::new(address, "bench", hz, "pyroscope-rs", "2.1.5", backend)
                .upload_interval(interval)
                .build()
                .and_then(|agent| agent.start());
        Self { agent: agent.expect("the agent starts"), uploads }
    }

    /// It uploads by the clock: the interval ends when the next upload arrives.
    fn interval(&mut self, _interval: Duration) -> (Vec<Vec<u8>>, Duration) {
        (self.uploads.wait(), Duration::ZERO)
    }

    fn stop(self) -> Vec<Vec<u8>> {
        let Self { agent, mut uploads } = self;
        agent.stop().expect("the agent stops").shutdown();
        uploads.fresh()
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
