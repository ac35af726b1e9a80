use super::*;
use crate::kernel_maps::FakeMaps;

const RULES: [Rule; 2] =
    [Rule { cfa: 1, ra: -1, fp: -2, offset: -3 }, Rule { cfa: 0, ra: 0, fp: 0, offset: 0 }];

/// What a program would read: the rule for an address as in the file.
fn find(maps: &FakeMaps, placed: Placed, address: u64) -> Option<[u32; 2]> {
    let pair = |place: u32| {
        let chunk = &maps.chunks[&(2 * place / CHUNK_WORDS)];
        let at = (2 * place % CHUNK_WORDS) as usize;
        [chunk[at], chunk[at + 1]]
    };
    let offset = address.wrapping_sub(placed.base);
    let page = u32::try_from(offset >> 16).ok().filter(|page| *page < placed.pages)?;
    let [first, count] = pair(placed.first_page + page);
    let rows = &maps.chunks[&(first / CHUNK_WORDS)][(first % CHUNK_WORDS) as usize..];
    let rows = &rows[..count as usize];
    let row = rows.iter().rev().find(|row| **row as u16 <= offset as u16)?;
    Some(pair(placed.first_rule + (row >> 16)))
}

#[test]
fn a_table_is_stored_once_and_goes_with_its_last_user() {
    let mut maps = FakeMaps { memory: 1, ..FakeMaps::default() };
    let mut tables = Tables::new(8 << 20);
    let first = Table { base: 0, pages: &[0, 3], rows: &[0, 1, 0x1_0002], rules: &RULES };
    let second = Table { rows: &[0, 1, 3], ..first };
    let id = tables.put(&first, &mut maps).unwrap();
    let other = tables.put(&second, &mut maps).unwrap();
    assert_eq!(tables.put(&first, &mut maps).unwrap(), id);
    assert_ne!(id, other);
    let placed = tables.placed(id).unwrap();
    let words = [0xfffe_ff01, 0xffff_fffd];
    assert_eq!(find(&maps, placed, 1), Some(words), "as `struct rule`");
    assert_eq!(find(&maps, placed, 2), Some([0, 0]));
    assert_eq!(find(&maps, placed, 1 << 16), None);
    tables.release(id, &mut maps);
    assert_eq!(tables.placed(id), Some(placed));
    tables.release(id, &mut maps);
    tables.release(id, &mut maps);
    assert_eq!((tables.placed(id), tables.count(), tables.bytes()), (None, 1, 1 << 20));
    tables.release(other, &mut maps);
    assert_eq!((tables.count(), maps.chunks.len()), (0, 0), "its memory is given back");
}

#[test]
fn a_large_table_spans_chunks_and_its_pages_do_not() {
    let mut maps = FakeMaps { memory: 8, ..FakeMaps::default() };
    let mut tables = Tables::new(8 << 20);
    let (mut pages, mut rows) = (vec![0], Vec::new());
    for page in 0..40u32 {
        rows.extend((0..20_000 + page * 7).map(|row| (row * 3) | (((row ^ page) % 2) << 16)));
        pages.push(rows.len() as u32);
    }
    let table = Table { base: 0x5_0000, pages: &pages, rows: &rows, rules: &RULES };
    let id = tables.put(&table, &mut maps).unwrap();
    assert_eq!(maps.chunks.len(), 4);
    let placed = tables.placed(id).unwrap();
    for page in 0..40 {
        for low in [0, 1, 2, 3, 30_001, 59_999, 60_001, 65_535] {
            let address = 0x5_0000 + (page << 16) + low;
            let expected = rule_words(table.lookup(address));
            assert_eq!(find(&maps, placed, address), Some(expected), "{address:x}");
        }
    }
    let copy = tables.read(id, &maps).unwrap();
    let read = copy.as_table();
    assert_eq!((read.base, read.pages, read.rows), (table.base, table.pages, table.rows));
    assert_eq!(read.rules, table.rules);
    tables.release(id, &mut maps);
    assert_eq!(maps.chunks.len(), 0);
    assert!(tables.read(id, &maps).is_none());
}

#[test]
fn what_finds_no_room_changes_nothing() {
    let mut maps = FakeMaps { memory: 2, ..FakeMaps::default() };
    let mut tables = Tables::new(3 << 20);
    let rows: Vec<u32> = (0..60_000).collect();
    let table = |pages: &'static [u32], base| Table { base, pages, rows: &rows, rules: &RULES };
    let id = tables.put(&table(&[0, 60_000], 1), &mut maps).unwrap();
    // Three times as many rows as a chunk holds: the second of three segments finds no memory.
    let pages: Vec<u32> = (0..=30).flat_map(|_| [0, 60_000]).collect();
    let large = Table { base: 2, pages: &pages, rows: &rows, rules: &RULES };
    assert!(tables.put(&large, &mut maps).is_err());
    assert_eq!((tables.count(), maps.chunks.len()), (1, 1));
    maps.memory = 99;
    assert_eq!(tables.put(&large, &mut maps).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!((tables.count(), maps.chunks.len()), (1, 1));
    assert!(tables.put(&table(&[0, 60_000], 3), &mut maps).is_ok());
    tables.release(id, &mut maps);
}

#[test]
fn a_page_with_more_rows_than_addresses_is_refused() {
    let mut maps = FakeMaps { memory: 9, ..FakeMaps::default() };
    let table = Table { base: 0, pages: &[0, 65_537], rows: &[0; 65_537], rules: &[] };
    let error = Tables::new(1 << 20).put(&table, &mut maps).unwrap_err();
    assert_eq!((error.kind(), maps.chunks.len()), (ErrorKind::BadTable, 0));
}
