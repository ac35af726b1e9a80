//! The loads under Sondage, which uploads to the sink of `tables`, or to `BENCH_TARGETS`, a list
//! with commas; every `BENCH_INTERVAL` milliseconds, or when it is asked.

use bench_load::Uploads;
use bench_load::clock::thread_cpu;
use sondage::{Agent, Config};
use std::time::Duration;

/// Far away: the profiles are asked for.
const NEVER: Duration = Duration::from_secs(3600);

struct Sondage {
    agent: Agent,
    uploads: Uploads,
}

impl bench_load::Profiler for Sondage {
    fn start(hz: u32, _interval: Duration) -> Self {
        let (address, uploads) = Uploads::open();
        let own = format!("pyroscope+{address}");
        let targets = std::env::var("BENCH_TARGETS").unwrap_or(own);
        let targets = targets.split(',').map(|target| target.parse().expect("a target")).collect();
        let interval = std::env::var("BENCH_INTERVAL").ok();
        let millis = |text: String| Duration::from_millis(text.parse().expect("milliseconds"));
        let interval = interval.map_or(NEVER, millis);
        let config = Config { hz, interval, targets, ..Config::default() };
        Self { agent: Agent::start(config).expect("the agent starts"), uploads }
    }

    fn interval(&mut self, interval: Duration) -> (Vec<Vec<u8>>, Duration) {
        std::thread::sleep(interval);
        let before = thread_cpu();
        self.agent.flush().expect("the agent answers");
        let asking = thread_cpu() - before;
        (self.uploads.wait(), asking)
    }

    fn stop(self) -> Vec<Vec<u8>> {
        let Self { agent, mut uploads } = self;
        agent.stop().expect("the agent answers");
        uploads.fresh()
    }

    fn accounts(&self) -> serde_json::Value {
        let stats = self.agent.stats();
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
            "slowdowns": stats.slowdowns,
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
