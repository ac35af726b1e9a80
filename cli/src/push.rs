//! `sondage push`.

use std::time::{SystemTime, UNIX_EPOCH};

use sondage::profile::Profile;

use crate::args;
use crate::deliver::Push;
use crate::error::Error;
use crate::format;
use crate::output;

/// Sends each file to each target.
pub(crate) fn run(options: &args::Push) -> Result<u8, Error> {
    for path in &options.files {
        let push = Push::to(&options.to, "--to")?;
        let mut profile = format::read(path)?;
        describe(&mut profile, options, path);
        let sent = push.send(&profile)?;
        sent.lines.iter().for_each(|line| output::say(&format!("{}: {line}", path.display())));
        if let Some(error) = sent.failure {
            return Err(Error::of_file(path, hint(error, options)));
        }
    }
    Ok(0)
}

/// Gives the profile the service, labels and time that servers know it by.
fn describe(profile: &mut Profile, options: &args::Push, path: &std::path::Path) {
    let labels = &mut profile.meta.labels;
    let known = labels.iter().any(|(key, _)| key == "service_name");
    let service = options.service.clone().or_else(|| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let stem = name.map(|name| name.split('.').next().unwrap_or_default().to_owned());
        (!known).then_some(stem).flatten()
    });
    let service = service.map(|service| ("service_name".to_owned(), service));
    for (key, value) in service.into_iter().chain(options.labels.iter().cloned()) {
        labels.retain(|(other, _)| *other != key);
        labels.push((key, value));
    }
    if options.now || profile.meta.start_unix_nanos.is_none() {
        let start = SystemTime::now() - profile.meta.duration;
        let start = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        profile.meta.start_unix_nanos = u64::try_from(start.as_nanos()).ok();
    }
}

/// Servers refuse what is older than an hour; what to do about that is not theirs to say.
fn hint(error: Error, options: &args::Push) -> String {
    let old = error.message.contains("too old") || error.message.contains("ingestion window");
    match old && !options.now {
        true => format!("{}; --now sends it as if it had ended now", error.message),
        false => error.message,
    }
}
