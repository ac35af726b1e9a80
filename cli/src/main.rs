//! The `sondage` command.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    sondage_cli::main(std::env::args_os())
}
