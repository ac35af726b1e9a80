//! The loads under Sondage.

use bench_load::clock::thread_cpu;
use sondage::profile::pprof::encode_gz;
use sondage::{Agent, Config};
use std::time::Duration;

/// Far away: the profiles are asked for.
const NEVER: Duration = Duration::from_secs(3600);

struct Sondage(Agent);

impl bench_load::Profiler for Sondage {
    fn start(hz: u32, _interval: Duration) -> Self {
        let config = Config { hz, interval: NEVER, ..Config::default() };
        Self(Agent::start(config).expect("the agent starts"))
    }

    fn interval(&mut self, interval: Duration) -> (Vec<Vec<u8>>, Duration) {
        std::thread::sleep(interval);
        let before = thread_cpu();
        let profile = self.0.flush().expect("the agent answers");
        let bytes = encode_gz(&profile);
        (vec![bytes], thread_cpu() - before)
    }

    fn stop(self) -> Vec<Vec<u8>> {
        vec![encode_gz(&self.0.stop().expect("the agent answers"))]
    }

    fn accounts(&self) -> serde_json::Value {
        let stats = self.0.stats();
        serde_json::json!({
            "samples": stats.samples,
            "host_cpu": stats.host_cpu,
            "sampled_cpu": stats.sampled_cpu,
            "unsampled_cpu": stats.unsampled_cpu,
            "dropped_cpu": stats.dropped_cpu,
            "missed_cpu": stats.missed_cpu,
            "agent_cpu": stats.agent_cpu,
            "handler_time": stats.handler_time,
            "handler_p50": stats.handler_p50,
            "table_bytes": stats.table_bytes,
        })
    }

    fn change_labels(&self, rounds: u32) -> bool {
        let labels = sondage::labels([("route", "/orders/{id}")]);
        for _ in 0..rounds {
            let guard = std::hint::black_box(labels).enter();
            drop(std::hint::black_box(guard));
        }
        true
    }
}

fn main() {
    bench_load::main::<Sondage>();
}
