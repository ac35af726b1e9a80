//! The `sondage` command as a library: the pip and npm packages call [`main`] too.
//!
//! | command | does |
//! |---|---|
//! | `record` | runs a program and writes the profile of it and its children |
//! | `record -p` | samples a running process and writes its profile |
//! | `dump` | prints one stack of each thread of a running process |
//! | `top` | shows the heaviest functions of a running process |
//! | `report` | prints the heaviest functions of profiles, each service of a directory |
//! | `view` | shows profiles in a browser, on a page that it serves or writes |
//! | `diff` | tells what changed between two profiles, and fails a build |
//! | `convert` | writes a profile, or the sum of several, in another format |
//! | `inject` | loads the profiler into a running virtual machine for Java |
//! | `ctl` | asks and changes the agent of a running process |
//! | `push` | sends profiles from files to servers |
//! | `host-agent` | profiles every process of the machine |
//! | `doctor` | tells which engine works here, and what to do where none does |
//!
//! Exit codes: 0, 1 when something failed, 2 for wrong arguments, 3 when a condition of `diff` holds; `record` passes on that of the
//! program it ran, 128 and the signal's number when a signal ended it.
#![forbid(unsafe_code)]

mod args;
mod convert;
mod ctl;
mod deliver;
mod diff;
mod doctor;
mod error;
mod file;
mod format;
mod history;
#[cfg(feature = "host-agent")]
mod host_agent;
#[cfg(not(feature = "host-agent"))]
#[path = "host_agent_off.rs"]
mod host_agent;
mod inject;
mod inputs;
mod library;
mod output;
mod outside;
mod page;
mod push;
mod record;
mod report;
mod signals;
mod view;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// What the package that the command came in brings along.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The library that `record` preloads; without it, it is looked for beside the command.
    pub library: Option<PathBuf>,
    /// The folder whose `sitecustomize` starts the profiler of the Python package.
    pub python: Option<PathBuf>,
    /// The file by which the package for Node.js starts its profiler in a program that loads it.
    pub node: Option<PathBuf>,
    /// The agent of virtual machines for Java; without it, it is looked for beside the command.
    pub jvm: Option<PathBuf>,
}

/// Runs the command with `args` (the program's name first) and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::from(run(args, &Surroundings::default()))
}

/// Runs the command as [`main`] does, with what its package brings along.
pub fn run(args: impl IntoIterator<Item = OsString>, surroundings: &Surroundings) -> u8 {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // A reader of the help that has gone away is no failure.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let outcome = match args.command {
        Command::Record(options) => match options.pid {
            Some(pid) => outside::record(&options, pid),
            None => record::run(&options, surroundings),
        },
        Command::Dump(options) => outside::dump(&options),
        Command::Top(options) => outside::top(&options),
        Command::Inject(options) => inject::run(&options, surroundings),
        Command::Report(options) => report::run(&options),
        Command::View(options) => view::run(&options),
        Command::Diff(options) => diff::run(&options),
        Command::Convert(options) => convert::run(&options),
        Command::Ctl(options) => ctl::run(&options.what),
        Command::Push(options) => push::run(&options),
        Command::HostAgent(options) => host_agent::run(&options),
        Command::Doctor(options) => doctor::run(&options, surroundings),
    };
    outcome.unwrap_or_else(|error| {
        output::say(&error.message);
        error.code
    })
}
