//! Columns that belong together under one name: `process_cpu`, `wall`, `memory`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::label_name::label_name;
use crate::profile::{Profile, Rename, Selection, ValueType, unchanged};

/// Columns of one name.
pub(super) struct Group {
    /// The profile's `__name__`.
    pub(super) name: String,
    /// Positions of the columns.
    pub(super) columns: Vec<usize>,
}

/// Sorts a profile's columns by the `__name__` that Pyroscope's and Parca's pages expect them
/// under.
pub(super) fn groups(types: &[ValueType]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (column, value_type) in types.iter().enumerate() {
        let name = name_of(&value_type.kind);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.columns.push(column),
            None => groups.push(Group { name, columns: vec![column] }),
        }
    }
    groups
}

/// Whether a profile counts memory and nothing else.
pub(super) fn is_heap(types: &[ValueType]) -> bool {
    !types.is_empty() && types.iter().all(|of| counts_memory(&of.kind))
}

/// Whether a column counts objects or bytes on the heap.
pub(super) fn counts_memory(kind: &str) -> bool {
    kind.starts_with("alloc_") || kind.starts_with("inuse_")
}

/// Whether a profile counts waits for locks and nothing else.
pub(super) fn is_locks(types: &[ValueType]) -> bool {
    !types.is_empty() && types.iter().all(|of| counts_waits(&of.kind))
}

fn counts_waits(kind: &str) -> bool {
    kind == "contentions" || kind == "delay"
}

fn name_of(kind: &str) -> String {
    let name = match kind {
        "cpu" | "samples" => "process_cpu",
        _ if counts_memory(kind) => "memory",
        _ if counts_waits(kind) => "mutex",
        _ => kind,
    };
    label_name(name).into_owned()
}

/// A group of a profile's columns with its samples' labels renamed. The losses, which are those
/// of the whole profile, go with the first group; a group that has nothing to show is left out.
pub(super) fn pieces(profile: &Profile, rename: Rename) -> Vec<(String, Cow<'_, Profile>)> {
    let mut pieces = Vec::new();
    for (index, group) in groups(profile.sample_types()).into_iter().enumerate() {
        let piece = piece(profile, &group, rename, index == 0);
        if piece.samples().is_empty() && (index > 0 || piece.losses().is_empty()) {
            continue;
        }
        pieces.push((group.name, piece));
    }
    pieces
}

fn piece<'a>(
    profile: &'a Profile,
    group: &Group,
    rename: Rename,
    losses: bool,
) -> Cow<'a, Profile> {
    let whole = group.columns.len() == profile.sample_types().len();
    let mut piece = if whole && !renames(profile, rename) {
        Cow::Borrowed(profile)
    } else {
        let samples = (0..profile.samples().len()).collect();
        Cow::Owned(profile.part(&Selection {
            columns: group.columns.clone(),
            samples,
            rename,
            losses,
        }))
    };
    if piece.sample_types().iter().any(|column| column.kind.contains('-')) {
        piece.to_mut().rename_columns(spelled);
    }
    if let Some((of, _)) = &piece.meta.period
        && of.kind.contains('-')
    {
        let of = spelled(of);
        piece.to_mut().meta.period.iter_mut().for_each(|(period, _)| *period = of.clone());
    }
    // The period is part of the type's name: wall:wall:nanoseconds:wall:nanoseconds. Servers need
    // one in every profile, and none of 0.
    let first = piece.sample_types().first().cloned();
    let first = first.unwrap_or_else(|| ValueType::new("samples", "count"));
    let known = piece.meta.period.as_ref().map(|(_, value)| *value).filter(|value| *value > 0);
    if first.kind == "wall" || known.is_none() {
        piece.to_mut().meta.period = Some((first, known.unwrap_or(1)));
    }
    piece
}

/// The type with the name that servers take: Pyroscope and Parca refuse a hyphen, which Datadog's
/// types have.
pub(super) fn spelled(of: &ValueType) -> ValueType {
    ValueType { kind: of.kind.replace('-', "_"), unit: of.unit.clone() }
}

fn renames(profile: &Profile, rename: Rename) -> bool {
    let mut seen = HashSet::new();
    profile.samples().iter().filter(|sample| seen.insert(sample.labels)).any(|sample| {
        profile.labels(sample.labels).any(|(name, _)| rename(name).as_deref() != Some(name))
    })
}

/// Two profiles with half of the samples each; the first has the losses. `None` for one sample.
pub(super) fn halves(profile: &Profile) -> Option<[Profile; 2]> {
    let count = profile.samples().len();
    let half = |samples: std::ops::Range<usize>, losses| {
        let columns = (0..profile.sample_types().len()).collect();
        let samples = samples.collect();
        profile.part(&Selection { columns, samples, rename: unchanged, losses })
    };
    (count > 1).then(|| [half(0..count / 2, true), half(count / 2..count, false)])
}

/// What a server takes at most in one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    pub(super) raw_bytes: usize,
    pub(super) samples: usize,
}

/// Encodes a profile, in halves until each is within the limits, and hands each out with the
/// profile that it came from.
pub(super) fn encode_pieces(
    profile: &Profile,
    most: Most,
    encode: &mut dyn FnMut(&Profile) -> Vec<u8>,
    hand_out: &mut dyn FnMut(&Profile, Vec<u8>),
) {
    let raw = encode(profile);
    if (raw.len() > most.raw_bytes || profile.samples().len() > most.samples)
        && let Some(halves) = halves(profile)
    {
        drop(raw);
        for half in &halves {
            encode_pieces(half, most, encode, hand_out);
        }
        return;
    }
    hand_out(profile, raw);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_the_names_the_pages_know() {
        let types = [("cpu", "nanoseconds"), ("samples", "count"), ("wall", "nanoseconds")];
        let types = types.map(|(kind, unit)| ValueType::new(kind, unit));
        let groups: Vec<_> =
            groups(&types).into_iter().map(|group| (group.name, group.columns)).collect();
        assert_eq!(groups, [("process_cpu".to_owned(), vec![0, 1]), ("wall".to_owned(), vec![2])]);
        assert_eq!(name_of("alloc_space"), "memory");
        assert_eq!((name_of("contentions"), name_of("delay")), ("mutex".into(), "mutex".into()));
        assert_eq!(name_of("off-cpu"), "off_cpu");
    }
}
