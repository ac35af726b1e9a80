//! Counters of the host agent in Prometheus' text format.

use crate::machine::MachineStats;
use sondage::export::ExportStats;
use std::fmt::Write;

/// All of them.
pub(crate) fn text(machine: &MachineStats, exports: &[ExportStats]) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = writeln!(
            text,
            "# HELP sondage_host_{name} {help}\n# TYPE sondage_host_{name} {kind}\n\
             sondage_host_{name} {value}"
        );
    };
    let losses = machine.losses;
    let size = |count: usize| count as u64;
    metric("samples_total", "counter", "Samples of processes that are profiled.", machine.samples);
    metric("complete_samples_total", "counter", "Of those, with whole stacks.", machine.complete);
    metric("ring_full_total", "counter", "Samples lost to a full ring.", losses.ring_full);
    let help = "Samples lost to a list of mappings that changed meanwhile.";
    metric("modules_changed_total", "counter", help, losses.modules_changed);
    let help = "Stops of threads that found no room.";
    metric("threads_full_total", "counter", help, losses.threads_full);
    metric("processes", "gauge", "Processes known now.", size(machine.processes));
    metric("tables", "gauge", "Unwind tables.", size(machine.tables));
    metric("table_bytes", "gauge", "Bytes of unwind tables.", size(machine.table_bytes));
    let pushed = exports.iter().map(|sink| sink.pushed).sum();
    metric("pushed_total", "counter", "Uploads that arrived.", pushed);
    let lost = exports.iter().map(ExportStats::lost).sum();
    metric("lost_uploads_total", "counter", "Uploads that did not.", lost);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_lines_that_prometheus_reads() {
        let stats = MachineStats { samples: 7, ..MachineStats::default() };
        let text = text(&stats, &[]);
        assert!(text.starts_with("# HELP sondage_host_samples_total "), "{text}");
        assert!(text.contains("\nsondage_host_samples_total 7\n"), "{text}");
        assert!(text.lines().all(|line| line.starts_with('#') || line.split(' ').count() == 2));
    }
}
