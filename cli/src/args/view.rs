//! The arguments of `view`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use super::selection::{Place, Selection};
use super::values::seconds;

/// Shows profiles in a browser: a flame graph, tables and search on one page.
///
/// Serves the page on 127.0.0.1 under an address that it prints and nobody else knows, until Ctrl-C
/// or --for. Each time that the page is loaded, the files are read again. No browser is opened
/// unless --open asks for it, and nothing is fetched from the network but what URLs name.
#[derive(Debug, Parser)]
pub(crate) struct View {
    /// Profiles (pprof or folded), directories of them, and URLs of running processes:
    /// http://HOST:PORT, or pull+http://HOST:PORT as in their SONDAGE_PUSH
    ///
    /// The token for such a process is in the file that SONDAGE_TOKEN_FILE names. Of a directory,
    /// profiles of memory and of locks are read only if --type asks for them.
    #[arg(required = true, value_name = "FILE|DIR|URL")]
    pub(crate) places: Vec<Place>,

    /// Compare with these profiles: a file, a directory or a URL; may be given several times
    #[arg(long, value_name = "FILE|DIR|URL")]
    pub(crate) base: Vec<Place>,

    /// Write the page to this file instead of serving it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["open", "port", "duration"])]
    pub(crate) export: Option<PathBuf>,

    /// Open the page in the browser
    #[arg(long)]
    pub(crate) open: bool,

    /// Port to serve on [default: one that is free]
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,

    /// End after this time
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,

    /// The quantity to read, such as cpu, wall, inuse_space or contentions
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) kind: Option<String>,

    #[command(flatten)]
    pub(crate) selection: Selection,
}
