use sondage::resolve::Image;
use sondage::resolve::demangle;
use sondage::resolve::symbols_at;

use crate::fixture::Folder;
use crate::fixture::addresses;
use crate::fixture::own_base;

fn names(image: &Image, addresses: &[u64]) -> Vec<Option<String>> {
    let symbols = symbols_at(image, addresses).unwrap();
    symbols.into_iter().map(|symbol| symbol.map(|symbol| symbol.name.to_string())).collect()
}

#[test]
fn the_best_symbol_of_an_address_is_chosen_by_standing() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["labels.s"], &[]);
    let at = addresses(&path);
    let image = Image::open(&path, None).unwrap();
    let name = |address: u64| names(&image, &[address]).remove(0);
    let is = |address: u64, expected: &str| {
        assert_eq!(name(address).as_deref(), Some(expected), "{address:#x}");
    };
    // Global before local before weak, the shorter of two globals.
    is(at["sized_global"], "sized_global");
    is(at["sized_global"] + 15, "sized_global");
    is(at["weak_only"] + 3, "local_only");
    is(at["picked"], "picked");
    // No symbol covers what follows a sized one.
    assert_eq!(name(at["sized_global"] + 16), None);
    // Labels, up to the next symbol.
    is(at["first_label"], "first_label");
    is(at["first_label"] + 15, "first_label");
    is(at["second_label"] + 15, "second_label");
    // The inner of two functions, the outer where a label stands inside it.
    is(at["big"], "big");
    is(at["small"], "small");
    is(at["label_inside_big"], "big");
    is(at["big"] + 63, "big");
    // Another section, and far outside.
    assert_eq!(name(at["picked"] + 16), None);
    assert_eq!(name(0), None);
    assert_eq!(name(u64::MAX), None);
}

#[test]
fn a_batch_answers_in_the_order_asked_like_one_by_one() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["labels.s"], &[]);
    let image = Image::open(&path, None).unwrap();
    let text = image.section(".text").unwrap();
    let mut all: Vec<u64> = (0..text.size + 8).map(|at| text.address + at).collect();
    all.reverse();
    all.extend(all.clone());
    let batch = names(&image, &all);
    for (address, found) in all.iter().zip(&batch) {
        assert_eq!(&names(&image, &[*address])[0], found, "{address:#x}");
    }
    assert!(batch.iter().flatten().count() > 100);
}

#[test]
fn a_stripped_library_still_names_what_it_exports() {
    let folder = Folder::new();
    let path = folder.library("lib.so", &["inlined.c"], &[]);
    let at = addresses(&path);
    let whole = Image::open(&path, None).unwrap();
    assert_eq!(names(&whole, &[at["hidden"]]), [Some("hidden".to_owned())]);
    folder.tool("strip", &["-o", "stripped.so", "lib.so"]);
    let stripped = Image::open(&folder.path("stripped.so"), None).unwrap();
    assert!(stripped.section(".symtab").is_none());
    let found = names(&stripped, &[at["outer"], at["hidden"]]);
    assert_eq!(found, [Some("outer".to_owned()), None]);
}

#[test]
fn symbol_versions_are_not_part_of_a_name() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps
        .lines()
        .find_map(|line| line.split_whitespace().nth(5).filter(|p| p.contains("libc.so")));
    let image = Image::open(std::path::Path::new(libc.unwrap()), None).unwrap();
    let text = image.section(".text").unwrap();
    let spread: Vec<u64> = (0..text.size).step_by(64).map(|at| text.address + at).collect();
    let found: Vec<String> = names(&image, &spread).into_iter().flatten().collect();
    assert!(found.len() > 1000, "{}", found.len());
    assert!(found.iter().all(|name| !name.contains('@')));
}

#[inline(never)]
fn a_function_of_this_test(x: u64) -> u64 {
    std::hint::black_box(x) + 1
}

#[test]
fn functions_of_the_running_executable_have_their_rust_names() {
    let image = Image::open(&std::env::current_exe().unwrap(), None).unwrap();
    let address = a_function_of_this_test as *const () as u64 - own_base();
    let name = names(&image, &[address]).remove(0).unwrap();
    assert_eq!(demangle(&name), "it::resolve::symtab::a_function_of_this_test");
}
