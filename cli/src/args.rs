//! The command line.

mod agents;
mod processes;
mod profiles;
mod selection;
mod values;
mod view;

use clap::{Parser, Subcommand};

pub(crate) use agents::{Ctl, CtlBurst, CtlCommand, CtlSet, CtlStatus, Doctor, HostAgent};
pub(crate) use processes::{Dump, Inject, Record, Top};
pub(crate) use profiles::{Convert, Diff, Push, Report};
pub(crate) use selection::{Period, Place, Selection};
pub(crate) use view::View;

/// Profiles programs and reads profiles.
#[derive(Debug, Parser)]
#[command(name = "sondage", version, about)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Record(Record),
    Dump(Dump),
    Top(Top),
    Inject(Inject),
    Report(Report),
    View(View),
    Diff(Diff),
    Convert(Convert),
    Push(Push),
    Ctl(Ctl),
    HostAgent(HostAgent),
    Doctor(Doctor),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
