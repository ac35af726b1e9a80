//! The agent's options, as one text: `service=shop,push=otlp+http://…,labels=a=b`.

use sondage::Config;

use crate::args;
use crate::error::Error;

/// What the virtual machine takes as an argument of a request, in bytes.
const MAX_BYTES: usize = 1024;

/// The options of the command as the agent reads them. They are judged here: the process could
/// only complain in its own error output.
pub(crate) fn text(options: &args::Inject) -> Result<String, Error> {
    let mut settings: Vec<(&str, String)> = Vec::new();
    if let Some(service) = &options.service {
        settings.push(("service", service.clone()));
    }
    if !options.push.is_empty() {
        settings.push(("push", options.push.join(",")));
    }
    if let Some(hz) = options.hz {
        settings.push(("hz", hz.to_string()));
    }
    if options.wall {
        settings.push(("wall", "true".to_owned()));
    }
    for (key, value) in &options.labels {
        settings.push(("labels", format!("{}={}", escaped(key), escaped(value))));
    }
    for (name, value) in &options.options {
        // The agent would take it for another setting.
        if value.split(',').skip(1).any(|part| part.contains('=')) {
            let message = format!("--option {name}: give lists of pairs one by one");
            return Err(Error::usage(message));
        }
        settings.push((name, value.clone()));
    }
    judge(&settings)?;
    let text: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let text = text.join(",");
    match text.len() {
        0..=MAX_BYTES => Ok(text),
        bytes => Err(Error::usage(format!("the options have {bytes} bytes, {MAX_BYTES} at most"))),
    }
}

/// Whether the agent will accept them.
fn judge(settings: &[(&str, String)]) -> Result<(), Error> {
    let mut builder = Config::builder();
    for (name, value) in settings {
        // The agent's name for it is not that of the variable.
        let variable =
            if *name == "memory" { "HEAP".to_owned() } else { name.to_ascii_uppercase() };
        builder = builder.argument(&variable, name, value);
    }
    builder.build().map(drop).map_err(|error| Error::usage(error.to_string()))
}

/// A name or a value of a label, with `%` for what divides labels and options.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn text_of(arguments: &[&str]) -> Result<String, String> {
        let arguments = ["inject", "7"].iter().chain(arguments);
        let parsed = args::Inject::try_parse_from(arguments).map_err(|error| error.to_string())?;
        text(&parsed).map_err(|error| error.message)
    }

    #[test]
    fn options_become_those_of_the_agent() {
        assert_eq!(text_of(&[]).as_deref(), Ok(""));
        let arguments = [
            "--service",
            "shop",
            "--push",
            "file:/tmp",
            "--push",
            "otlp+http://c:4318",
            "--hz",
            "50",
            "--wall",
            "--label",
            "a=b, c",
            "--label",
            "d=e",
            "--option",
            "interval=10s",
        ];
        let expected = "service=shop,push=file:/tmp,otlp+http://c:4318,hz=50,wall=true,\
                        labels=a=b%2C%20c,labels=d=e,interval=10s";
        assert_eq!(text_of(&arguments).as_deref(), Ok(expected));
    }

    #[test]
    fn what_the_agent_would_refuse_is_refused_here() {
        let long = format!("--service={}", "x".repeat(1000));
        for (arguments, part) in [
            (&["--option", "interval=soon"][..], "interval"),
            (&["--option", "rates=1"], "not a setting"),
            (&["--option", "labels=a=1,b=2"], "one by one"),
            (&["--push", "http://x"], "pyroscope+http://x"),
            (&["--service", "a,hz=1"], "commas"),
            (&[&long, "--label", "a=123456789012345678901234567890"], "1024 at most"),
        ] {
            let message = text_of(arguments).unwrap_err();
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    }
}
