//! Which processes are profiled.

use regex_lite::Regex;

use crate::relabel::{Labels, anchored};

/// What a selector can look at, and the label that holds it.
pub(crate) const FIELDS: [(&str, &str); 12] = [
    ("cgroup", "__meta_process_cgroup"),
    ("cmdline", "__meta_process_cmdline"),
    ("comm", "__meta_process_comm"),
    ("container", "__meta_kubernetes_pod_container_name"),
    ("container_id", "__meta_container_id"),
    ("executable", "__meta_process_executable"),
    ("image", "__meta_kubernetes_pod_container_image"),
    ("namespace", "__meta_kubernetes_namespace"),
    ("pod", "__meta_kubernetes_pod_name"),
    ("service_name", "service_name"),
    ("uid", "__meta_process_uid"),
    ("unit", "__meta_systemd_unit"),
];

/// Fields that must all match from end to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector(Vec<(&'static str, Regex)>);

impl Selector {
    /// Adds a field of [`FIELDS`]' labels.
    pub(crate) fn add(&mut self, label: &'static str, pattern: &str) -> Result<(), String> {
        self.0.push((label, anchored(pattern)?));
        Ok(())
    }

    fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(label, regex)| regex.is_match(labels.get(label)))
    }
}

/// What is profiled: everything that an `include` matches, or everything where there is none, but
/// for what an `exclude` matches.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub(crate) include: Vec<Selector>,
    pub(crate) exclude: Vec<Selector>,
}

impl Selection {
    /// Whether a process with these labels, from before relabelling, is profiled.
    pub fn admits(&self, labels: &Labels) -> bool {
        let any = |selectors: &[Selector]| selectors.iter().any(|found| found.matches(labels));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }
}
