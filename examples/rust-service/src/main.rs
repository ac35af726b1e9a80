//! A small shop over HTTP that does real work under a real load, to be profiled.
//!
//! `rust-service demo` starts the service and re-executes itself as the load generator, so that
//! the generator's CPU time is not in the service's profile.
#![forbid(unsafe_code)]

mod args;
mod cpu;
mod demo;
mod error;
mod load;
mod profile;
mod random;
mod response;
mod routes;
mod server;
mod shop;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let outcome = match args::parse(std::env::args().skip(1)) {
        Ok(Command::Demo(options)) => demo::run(&options),
        Ok(Command::Load(options)) => load::run(&options),
        Ok(Command::Help) => {
            println!("{}", args::USAGE);
            Ok(())
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rust-service: {error}");
            ExitCode::FAILURE
        }
    }
}
