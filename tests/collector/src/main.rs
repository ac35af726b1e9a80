//! The collector as a process: it says where it listens, in one line of JSON, and ends when its
//! standard input does.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::process::ExitCode;

use sondage_collector::{Collector, Options, Tls};

const USAGE: &str = "usage: sondage-collector [--unix PATH] \
                     [--cert PEM-FILE --key PEM-FILE [--client-ca PEM-FILE]]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sondage-collector: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let collector = Collector::start_with(&options)?;
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    let address = collector.address();
    let line = serde_json::json!({
        "address": address,
        "url": format!("{scheme}://{address}"),
        "unix": options.unix,
    });
    writeln!(stdout(), "{line}")?;
    stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let (mut unix, mut certificates, mut key, mut client_ca) = (None, None, None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(USAGE)?;
        match name.as_str() {
            "--unix" => unix = Some(value.into()),
            "--cert" => certificates = Some(std::fs::read_to_string(value)?),
            "--key" => key = Some(std::fs::read_to_string(value)?),
            "--client-ca" => client_ca = Some(std::fs::read_to_string(value)?),
            _ => return Err(USAGE.into()),
        }
    }
    let tls = match (certificates, key) {
        (Some(certificates), Some(key)) => Some(Tls { certificates, key, client_ca }),
        (None, None) if client_ca.is_none() => None,
        _ => return Err(USAGE.into()),
    };
    Ok(Options { unix, tls })
}
