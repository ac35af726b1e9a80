//! OpenTelemetry's variables for exporters, which count where a target says only `otlp`.

use std::borrow::Cow;
use std::path::PathBuf;

use super::setting::{Refusal, Setting};
use super::{Config, Secret, SecretSource};
use crate::error::Error;

/// The word in a list of targets.
const WORD: &str = "otlp";

/// Where the specification has profiles go below the endpoint of all signals.
const PATH: &str = "/v1development/profiles";

/// Gives the value of a variable.
type Read<'a> = dyn Fn(&str) -> Result<Option<&'a str>, Error> + 'a;

/// The list of targets with the endpoint of OpenTelemetry's variables in the place of each
/// `otlp`. Only then these variables change `config` too: headers and certificates.
pub(super) fn expand<'a>(
    targets: &'a str,
    read: impl Fn(&str) -> Result<Option<&'a str>, Error> + 'a,
    config: &mut Config,
) -> Result<Cow<'a, str>, Error> {
    if !targets.split(',').any(|target| target.trim() == WORD) {
        return Ok(Cow::Borrowed(targets));
    }
    apply(&read, config)?;
    let endpoint = endpoint(&read)?;
    let expanded = targets.split(',').map(|target| match target.trim() {
        WORD => endpoint.as_str(),
        target => target,
    });
    Ok(Cow::Owned(expanded.collect::<Vec<_>>().join(",")))
}

/// The value for profiles, or that for all signals, with the variable's name.
fn either<'a>(read: &Read<'a>, what: &str) -> Result<Option<(String, &'a str)>, Error> {
    for name in
        [format!("OTEL_EXPORTER_OTLP_PROFILES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
    {
        if let Some(text) = read(&name)? {
            return Ok(Some((name, text)));
        }
    }
    Ok(None)
}

fn endpoint(read: &Read<'_>) -> Result<String, Error> {
    let protocol = either(read, "PROTOCOL")?;
    let grpc = match &protocol {
        None => false,
        Some((_, "http/protobuf")) => false,
        Some((_, "grpc")) => true,
        Some((name, text)) => {
            let message = format!("{name} is {text:?}; allowed: http/protobuf or grpc");
            return Err(Error::invalid(message));
        }
    };
    let found = either(read, "ENDPOINT")?;
    let url = found.as_ref().map(|(_, url)| url.trim_end_matches('/'));
    if grpc {
        let url = url.unwrap_or("http://localhost:4317");
        let grpc = url.strip_prefix("http").map(|rest| format!("otlp+grpc{rest}"));
        // Without a scheme the connection is encrypted, unless the host is this one.
        return Ok(grpc.unwrap_or_else(|| format!("otlp+grpcs://{url}")));
    }
    let url = url.unwrap_or("http://localhost:4318");
    Ok(match found {
        // The endpoint of a signal is used as it is.
        Some((name, _)) if name.contains("PROFILES") => {
            let Some(base) = url.strip_suffix(PATH) else {
                let message = format!("{name} does not end in {PATH}, where profiles go");
                return Err(Error::invalid(message));
            };
            format!("otlp+{base}")
        }
        _ => format!("otlp+{url}"),
    })
}

fn apply(read: &Read<'_>, config: &mut Config) -> Result<(), Error> {
    if let Some((name, text)) = either(read, "HEADERS")? {
        let source = SecretSource::Text(Secret::new(text)?);
        checked(&name, Setting::OtlpHeaders(source), config)?;
    }
    for (what, setting) in [
        ("CERTIFICATE", Setting::CaFile as fn(PathBuf) -> Setting),
        ("CLIENT_CERTIFICATE", Setting::ClientCert),
        ("CLIENT_KEY", Setting::ClientKey),
    ] {
        if let Some((name, text)) = either(read, what)? {
            checked(&name, setting(PathBuf::from(text)), config)?;
        }
    }
    Ok(())
}

/// The message names the variable and never its value, which may be secret.
fn checked(name: &str, setting: Setting, config: &mut Config) -> Result<(), Error> {
    setting.apply(config).map_err(|refusal| match refusal {
        Refusal::Allowed(allowed) => Error::invalid(format!("{name}: allowed: {allowed}")),
        Refusal::Error(error) => Error::invalid(format!("{name}: {error}")).with_source(error),
    })
}
