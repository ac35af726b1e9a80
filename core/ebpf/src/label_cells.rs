//! Where threads keep their labels, for the program.

use crate::error::Error;
use aya::maps::{HashMap, MapData};
use std::collections::HashMap as Table;

/// The map `label_cells` in `bpf/labels.h`, and what is in it.
pub(crate) struct LabelCells {
    map: HashMap<MapData, u32, u64>,
    known: Table<u32, u64>,
}

impl LabelCells {
    pub(crate) fn new(map: HashMap<MapData, u32, u64>) -> Self {
        Self { map, known: Table::new() }
    }

    /// Makes the map hold these and no others.
    pub(crate) fn replace(
        &mut self,
        cells: impl IntoIterator<Item = (u32, u64)>,
    ) -> Result<(), Error> {
        let Changes { set, gone } = changes(&self.known, cells);
        for tid in gone {
            self.known.remove(&tid);
            // An entry that is not there is what is wanted.
            let _ = self.map.remove(&tid);
        }
        for (tid, address) in set {
            self.map
                .insert(tid, address, 0)
                .map_err(|error| Error::kernel("cannot tell of a thread's labels", error))?;
            self.known.insert(tid, address);
        }
        Ok(())
    }
}

/// What makes one table of cells another.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    set: Vec<(u32, u64)>,
    gone: Vec<u32>,
}

fn changes(known: &Table<u32, u64>, cells: impl IntoIterator<Item = (u32, u64)>) -> Changes {
    let mut set = Vec::new();
    let mut gone = known.clone();
    for (tid, address) in cells {
        gone.remove(&tid);
        if known.get(&tid) != Some(&address) {
            set.push((tid, address));
        }
    }
    let mut gone: Vec<u32> = gone.into_keys().collect();
    gone.sort_unstable();
    Changes { set, gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let known = Table::from([(1, 10), (2, 20), (3, 30), (4, 40)]);
        let changes = changes(&known, [(2, 20), (3, 33), (5, 50)]);
        assert_eq!(changes, Changes { set: vec![(3, 33), (5, 50)], gone: vec![1, 4] });
    }
}
