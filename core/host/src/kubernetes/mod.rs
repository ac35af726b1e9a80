//! The pods of this machine, as the API server of Kubernetes knows them.
//!
//! A thread of its own lists the pods of one node, and then watches them. Whoever asks for a pod
//! gets what is known at that moment and never waits for the network: a lock is held for a look-up or
//! for the change of one pod. While the server cannot be reached, what was known stays.

mod api;
mod pods;
mod watch;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

pub use pods::Container;
pub use pods::Found;
pub use pods::Pod;
pub use pods::Workload;

use api::Api;
use pods::Table;
use watch::Watcher;

/// Where a pod finds its own credentials.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How the API server is reached, and what of pods is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// Host and port: `10.96.0.1:443`, `[fd00::1]:443`.
    pub server: String,
    /// The node whose pods are asked for.
    pub node: String,
    /// The service account's token, read again for every request: tokens are replaced every hour.
    pub token_file: PathBuf,
    /// The authorities that may have signed the server's certificate, in PEM form.
    pub ca_file: PathBuf,
    /// Labels of pods that are kept: names, or beginnings of names that end with `*`.
    pub pod_labels: Vec<String>,
    /// Annotations that are kept, in the same way.
    pub pod_annotations: Vec<String>,
}

impl Kubernetes {
    /// What a pod's environment says: `KUBERNETES_SERVICE_HOST` and `_PORT`, and `NODE_NAME`, which
    /// the pod's manifest must set from `spec.nodeName`.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str, remedy: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("{name} is not set{remedy}"))
        };
        let host = get("KUBERNETES_SERVICE_HOST", ": this is not a pod of a cluster")?;
        let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
        let node = get("NODE_NAME", "; set it from the field spec.nodeName in the pod's manifest")?;
        let server = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        let file = |name: &str| PathBuf::from(CREDENTIALS).join(name);
        Ok(Self {
            server,
            node,
            token_file: file("token"),
            ca_file: file("ca.crt"),
            pod_labels: Vec::new(),
            pod_annotations: Vec::new(),
        })
    }

    /// Begins to watch, in a thread that ends some time after the last handle is dropped.
    ///
    /// # Errors
    /// A node or server that cannot be one; a system that gives no thread.
    pub fn watch(self) -> Result<Pods, String> {
        let shared = Arc::new(watch::Shared::default());
        let watcher = Watcher::new(Api::new(self)?, shared.clone());
        thread::Builder::new()
            .name("sondage-pods".to_owned())
            .spawn(move || watcher.run())
            .map_err(|error| format!("no thread for the pods of Kubernetes: {error}"))?;
        Ok(Pods { shared })
    }
}

/// How the watch goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the pods were listed at least once.
    pub listed: bool,
    /// Pods that are known.
    pub pods: usize,
    /// Requests that failed since the last success, and why the last one did.
    pub failures: u32,
    /// Empty while all is well.
    pub error: String,
}

/// What is known of the node's pods.
#[derive(Debug)]
pub struct Pods {
    shared: Arc<watch::Shared>,
}

impl Pods {
    /// The pod of a container, or, for a container that the server does not name, such as the one
    /// that holds the pod's network, the pod by its uid.
    pub fn find(&self, container: Option<&str>, pod_uid: Option<&str>) -> Option<Found> {
        self.shared.read(|table| table.find(container, pod_uid))
    }

    /// A number that changes with every change of what is known.
    pub fn generation(&self) -> u64 {
        self.shared.read(Table::generation)
    }

    /// How the watch goes.
    pub fn status(&self) -> Status {
        self.shared.status()
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{late_pods, test_found, test_pod};
