//! Options of the agent as settings: `service=shop,push=otlp,file:/tmp`.

use sondage::{Config, Error};

/// Names that are not their variable's in lower case.
const NAMES: [(&str, &str); 1] = [("memory", "HEAP")];

/// The configuration that the environment and the settings make, which are names and values.
pub(crate) fn config(settings: &[(String, String)]) -> Result<Config, Error> {
    let mut builder = Config::builder().process_environment();
    for (name, value) in settings {
        let known = NAMES.iter().find(|(known, _)| known == name);
        let variable = known.map_or_else(|| name.to_ascii_uppercase(), |(_, it)| (*it).to_owned());
        builder = builder.argument(&variable, name, value);
    }
    builder.build()
}

/// As [`config`], by an agent's options.
pub(crate) fn of_agent(options: &str) -> Result<Config, Error> {
    config(&pairs(options))
}

/// The settings that an agent's options are. A part that is no pair belongs to the value before it,
/// which is a list; a setting that comes again adds to its list: `labels=a=1,labels=b=2`.
fn pairs(options: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in options.split(',') {
        match (part.split_once('='), pairs.last_mut()) {
            (Some((name, value)), _) if is_name(name) => {
                let known = pairs.iter().position(|(known, _)| known == name);
                let before = known.map(|index| pairs.remove(index).1 + ",").unwrap_or_default();
                pairs.push((name.to_owned(), before + value));
            }
            (_, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            _ if part.is_empty() => {}
            (_, None) => pairs.push((part.to_owned(), String::new())),
        }
    }
    pairs
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
}
