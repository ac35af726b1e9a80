//! A profile as text that does not depend on the order and the numbers of its tables.

use sondage::profile::LocationId;
use sondage::profile::Profile;

/// One line for each fact and each sample, sorted where the order means nothing.
pub fn canonical(profile: &Profile) -> Vec<String> {
    let mut lines = vec![
        format!("{:?}", profile.meta),
        format!("{:?}", profile.sample_types()),
        format!("{:?}", profile.losses()),
    ];
    let mut samples: Vec<String> = profile
        .samples()
        .iter()
        .map(|sample| {
            let stack = profile.frames(sample.stack).iter().map(|&id| location(profile, id));
            let labels: Vec<_> = profile.labels(sample.labels).collect();
            format!("{:?} {labels:?} {:?}", stack.collect::<Vec<_>>(), sample.values)
        })
        .collect();
    samples.sort();
    lines.extend(samples);
    lines
}

fn location(profile: &Profile, id: LocationId) -> String {
    let location = &profile.locations()[id.index()];
    let mapping = &profile.mappings()[location.mapping.index()];
    let lines = location.lines.iter().map(|line| {
        let f = &profile.functions()[line.function.index()];
        let texts = [f.name, f.system_name, f.file].map(|id| profile.text(id));
        format!("{texts:?}:{}:{}", f.start_line, line.line)
    });
    format!(
        "{:x} in {:x}-{:x}+{:x} {:?} {:?} {:?}",
        location.address,
        mapping.start,
        mapping.end,
        mapping.file_offset,
        profile.text(mapping.file),
        profile.text(mapping.build_id),
        lines.collect::<Vec<_>>(),
    )
}
