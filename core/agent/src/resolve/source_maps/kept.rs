//! What is kept of the maps that were read, bounded; the least recently used goes first.

use std::collections::HashMap;

use super::map::Map;
use super::map::Original;
use super::stamp::ScriptStamp;
use super::stamp::Seen;

/// Bytes of maps that are kept: those of some 3 MB of minified code.
const MAX_BYTES: usize = 16 << 20;
const MAX_MAPS: usize = 64;
/// Bytes of what is known of scripts without a usable map: some 8,000 of them.
const MAX_MAPLESS: usize = 2 << 20;
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 160;

/// Maps by the URLs of their scripts, and the scripts that have none.
#[derive(Debug, Default)]
pub(super) struct Kept {
    maps: HashMap<Box<str>, Entry>,
    mapless: HashMap<Box<str>, Mapless>,
    map_bytes: usize,
    mapless_bytes: usize,
    round: u64,
    /// How often it was said that files may have changed.
    looks: u64,
}

#[derive(Debug)]
struct Mapless {
    seen: Seen,
    /// The look at which that held.
    looked: u64,
}

#[derive(Debug)]
struct Entry {
    seen: Seen,
    map: Map,
    bytes: usize,
    /// The look at which `seen` held.
    looked: u64,
    /// The round it was last asked for in.
    used: u64,
}

/// What is known of a script.
#[derive(Debug)]
pub(super) enum Known<'a> {
    Map(&'a Map),
    /// It has no map, or none that can be used.
    Nothing,
}

impl Known<'_> {
    /// Where positions of the script come from, as far as it is known.
    pub(super) fn originals(&self, positions: &[(u32, u32)]) -> Vec<Option<Original>> {
        match self {
            Self::Map(map) => map.originals(positions),
            Self::Nothing => vec![None; positions.len()],
        }
    }
}

impl Kept {
    /// Says that files may have changed since the last time.
    pub(super) fn look_again(&mut self) {
        self.looks += 1;
    }

    /// What is known of the script at `url`, if that was found to hold since the last look.
    pub(super) fn looked_at(&mut self, url: &str) -> Option<Known<'_>> {
        self.round += 1;
        if self.mapless.get(url).is_some_and(|entry| entry.looked == self.looks) {
            return Some(Known::Nothing);
        }
        let entry = self.maps.get_mut(url).filter(|entry| entry.looked == self.looks)?;
        entry.used = self.round;
        Some(Known::Map(&entry.map))
    }

    /// What is known of the script at `url`, if neither it nor its map has changed.
    pub(super) fn get(&mut self, url: &str, now: &ScriptStamp) -> Option<Known<'_>> {
        if let Some(entry) = self.mapless.get_mut(url).filter(|entry| entry.seen.still_holds(now)) {
            entry.looked = self.looks;
        }
        if let Some(entry) = self.maps.get_mut(url).filter(|entry| entry.seen.still_holds(now)) {
            entry.looked = self.looks;
        }
        self.looked_at(url)
    }

    /// Keeps the map of a script. One that alone is more than is kept of all counts as none, and
    /// `false` says so: reading it again for each question would be too dear.
    pub(super) fn keep(&mut self, url: &str, seen: Seen, map: Map) -> bool {
        self.forget(url);
        let bytes = ENTRY_BYTES + url.len() + seen.bytes() + map.bytes();
        if bytes > MAX_BYTES {
            self.keep_mapless(url, seen);
            return false;
        }
        while self.maps.len() >= MAX_MAPS || self.map_bytes + bytes > MAX_BYTES {
            let Some(oldest) = self.maps.iter().min_by_key(|(_, entry)| entry.used) else { break };
            let oldest = oldest.0.clone();
            self.forget(&oldest);
        }
        self.map_bytes += bytes;
        self.maps
            .insert(url.into(), Entry { seen, map, bytes, looked: self.looks, used: self.round });
        true
    }

    /// Remembers that a script has no usable map. Beyond the bound all such are forgotten.
    pub(super) fn keep_mapless(&mut self, url: &str, seen: Seen) {
        self.forget(url);
        let bytes = ENTRY_BYTES + url.len() + seen.bytes();
        if self.mapless_bytes + bytes > MAX_MAPLESS {
            self.mapless = HashMap::new();
            self.mapless_bytes = 0;
        }
        self.mapless_bytes += bytes;
        self.mapless.insert(url.into(), Mapless { seen, looked: self.looks });
    }

    /// About what all of it takes in memory: at most 18 MiB.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.map_bytes + self.mapless_bytes
    }

    fn forget(&mut self, url: &str) {
        if let Some(entry) = self.maps.remove(url) {
            self.map_bytes -= entry.bytes;
        }
        if let Some(entry) = self.mapless.remove(url) {
            self.mapless_bytes -= ENTRY_BYTES + url.len() + entry.seen.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::source_maps::tokens::MAX_TOKENS;

    fn seen() -> Seen {
        Seen { script: now(), map: None }
    }

    fn now() -> ScriptStamp {
        ScriptStamp::File(None)
    }

    fn map(tokens: usize) -> Map {
        let json = format!("{{\"mappings\":\"{}\"}}", "A,".repeat(tokens));
        Map::parse(json.as_bytes(), None).unwrap()
    }

    fn kept(kept: &mut Kept, url: &str) -> bool {
        matches!(kept.get(url, &now()), Some(Known::Map(_)))
    }

    #[test]
    fn of_many_maps_those_used_last_are_kept() {
        let mut maps = Kept::default();
        for number in 0..1_000 {
            maps.keep(&number.to_string(), seen(), map(1));
            assert!(kept(&mut maps, "0"), "in use");
        }
        assert_eq!(maps.maps.len(), MAX_MAPS);
        assert!(kept(&mut maps, "999") && !kept(&mut maps, "900"));
    }

    #[test]
    fn of_big_maps_as_many_are_kept_as_there_is_room_for() {
        let mut maps = Kept::default();
        for number in 0..20 {
            maps.keep(&number.to_string(), seen(), map(100_000));
            assert!(maps.bytes() <= MAX_BYTES);
        }
        assert!((3..15).contains(&maps.maps.len()), "{}", maps.maps.len());
        assert!(!maps.keep("0", seen(), map(MAX_TOKENS - 1)), "more than all that is kept");
        assert!(matches!(maps.get("0", &now()), Some(Known::Nothing)));
        assert!(kept(&mut maps, "19"), "and it drives nothing out");
        for _ in 0..3 {
            maps.keep("19", seen(), map(100_000));
        }
        let counted: usize = maps.maps.values().map(|entry| entry.bytes).sum();
        assert_eq!(maps.bytes(), counted + maps.mapless_bytes);
    }

    #[test]
    fn scripts_without_maps_are_remembered_within_a_bound() {
        let mut maps = Kept::default();
        for number in 0..100_000 {
            maps.keep_mapless(&number.to_string(), seen());
            maps.keep_mapless(&number.to_string(), seen());
            assert!(maps.bytes() <= MAX_MAPLESS);
        }
        assert!(matches!(maps.get("99999", &now()), Some(Known::Nothing)));
        assert!(maps.get("0", &now()).is_none());
        maps.keep("99999", seen(), map(1));
        assert!(kept(&mut maps, "99999"), "the newest is what is known");
        maps.look_again();
        assert!(maps.looked_at("99999").is_none());
        assert!(kept(&mut maps, "99999") && maps.looked_at("99999").is_some());
        let changed = ScriptStamp::Text { bytes: 1, hash: 1 };
        maps.look_again();
        assert!(maps.get("99999", &changed).is_none());
    }
}
