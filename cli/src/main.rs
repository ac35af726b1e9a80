//! The `sondage` command.
fn main() -> std::process::ExitCode {
    sondage_cli::main(std::env::args_os())
}
