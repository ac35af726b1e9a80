//! The agent's counters as text.

use sondage::Stats;

/// One JSON object; `{"running":false}` while no profiler runs. CPU times are in nanoseconds.
pub(crate) fn stats_json(stats: Option<&Stats>) -> String {
    let Some(stats) = stats else { return r#"{"running":false}"#.to_owned() };
    serde_json::json!({
        "running": stats.failure.is_none(),
        "flushes": stats.flushes,
        "samples": stats.samples,
        "host_cpu": stats.host_cpu,
        "sampled_cpu": stats.sampled_cpu,
        "dropped_cpu": stats.dropped_cpu,
        "missed_cpu": stats.missed_cpu,
        "unsampled_cpu": stats.unsampled_cpu,
        "agent_cpu": stats.agent_cpu,
        "handler_time": stats.handler_time,
        "threads": stats.threads,
        "refused_threads": stats.refused_threads,
        "table_bytes": stats.table_bytes,
        "warning": stats.failure.as_ref().or(stats.last_refusal.as_ref()),
    })
    .to_string()
}
