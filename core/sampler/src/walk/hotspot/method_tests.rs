//! What is copied of a method.

use super::definition::Definition;
use super::fake::{Age, INTERPRETER};
use super::fake_world::{BYTECODE, NATIVE, Named, STACK, Stepped, World, at};
use crate::memory::MemoryReader;
use std::string::String;
use std::vec::Vec;

const AGES: [Age; 2] = [Age::Old, Age::New];

const PAY: Named<'_> = Named {
    class: "app/Shop",
    name: "bezahle für alles",
    signature: "(Ljava/util/List;I)V",
    file: Some("Shop.java"),
    lines: Some(&[0x10, 0x18, 0]),
};

/// Steps over a frame of the interpreter that runs a method.
fn step(world: &mut World, method: u64) -> Stepped {
    let fp = STACK + 0x100;
    world.interpreted(fp, method, 1, at(NATIVE, fp + 16, 0));
    world.step(at(INTERPRETER + 0x40, fp - 0x60, fp), false)
}

/// The first method that was copied.
fn copied(world: &World) -> Definition<'_> {
    Definition::parse(world.known.copy(0).unwrap()).unwrap()
}

/// The table of lines that is copied where one stands there.
fn lines(age: Age, lines: Option<&[u8]>) -> Vec<u8> {
    let mut world = World::new(age);
    let method = world.named(Named { lines, ..PAY });
    assert_eq!(step(&mut world, method).lost, 0);
    copied(&world).lines.to_vec()
}

#[test]
fn what_is_copied_of_a_method_reads_back() {
    for (age, excluded) in AGES.into_iter().zip([0, 1]) {
        let mut world = World::new(age);
        let method = world.named(PAY);
        step(&mut world, method);
        let wanted = Definition {
            class: PAY.class.as_bytes(),
            method: PAY.name.as_bytes(),
            signature: PAY.signature.as_bytes(),
            file: b"Shop.java",
            code_size: BYTECODE as u16,
            lines: &[0x10, 0x18, 0],
            excluded,
        };
        assert_eq!(copied(&world), wanted, "{age:?}");
    }
}

#[test]
fn a_copy_that_is_cut_off_is_none() {
    let mut world = World::new(Age::New);
    let method = world.named(PAY);
    step(&mut world, method);
    let copy = world.known.copy(0).unwrap();
    assert!(Definition::parse(copy).is_some());
    for length in 0..copy.len() {
        assert_eq!(Definition::parse(&copy[..length]), None, "{length} bytes");
    }
    assert_eq!(Definition::parse(&[0xff; 64]), None);
}

#[test]
fn of_a_long_name_the_first_1024_bytes_are_copied() {
    let long: String = (0..3000).map(|at| char::from(b'a' + (at % 26) as u8)).collect();
    let mut world = World::new(Age::New);
    let method = world.named(Named { class: &long, signature: &long, ..PAY });
    step(&mut world, method);
    let copied = copied(&world);
    assert_eq!((copied.class, copied.signature), (&long.as_bytes()[..1024], copied.class));
    assert_eq!(copied.method, PAY.name.as_bytes());
    assert_eq!(copied.lines, [0x10, 0x18, 0], "what follows is whole");
}

#[test]
fn a_class_without_a_source_file_has_an_empty_one() {
    for age in AGES {
        let mut world = World::new(age);
        let method = world.named(Named { file: None, ..PAY });
        assert_eq!(step(&mut world, method).lost, 0);
        assert_eq!(copied(&world).file, b"");
    }
}

#[test]
fn a_table_of_lines_goes_to_the_0_that_is_no_part_of_a_number() {
    // An escape, and two numbers of one or more bytes, which may be 0 before 20.
    let tables: [(Age, &[u8]); 6] = [
        (Age::Old, &[0]),
        (Age::New, &[0x10, 0x18, 0]),
        (Age::Old, &[0xff, 0, 0, 0x18, 0]),
        (Age::New, &[0xff, 1, 1, 0x18, 0]),
        (Age::Old, &[0xff, 192, 0, 192, 192, 192, 192, 0, 0x18, 0]),
        (Age::New, &[0xff, 0xc0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0x18, 0]),
    ];
    for (age, table) in tables {
        let behind = [table, &[0x20, 0]].concat();
        assert_eq!(lines(age, Some(&behind)), table, "{age:?}");
    }
}

#[test]
fn a_method_without_lines_has_none() {
    for age in AGES {
        assert_eq!(lines(age, None), []);
    }
    // Far too many, without an end.
    assert_eq!(lines(Age::New, Some(&[0x10; 70_000])), []);
    let most = [&[0x10; 65_535][..], &[0]].concat();
    assert_eq!(lines(Age::New, Some(&most)).len(), 65_536);
    assert_eq!(lines(Age::New, Some(&[&[0x10], &most[..]].concat())), []);
    // A number that is none, or is not there.
    assert_eq!(lines(Age::New, Some(&[0x10, 0xff, 0, 1, 0])), []);
    let mut world = World::new(Age::New);
    let method = world.named(Named { lines: Some(&[0x10; 200]), ..PAY });
    let end = world.bytecode(method) + BYTECODE;
    world.fake.forget(end + 128);
    assert_eq!(step(&mut world, method).lost, 0);
    assert_eq!(copied(&world).lines, []);
}

#[test]
fn a_method_is_copied_once_and_another_in_its_place_is_another() {
    let mut world = World::new(Age::New);
    let method = world.named(PAY);
    let first = step(&mut world, method);
    let loads = first.loads;
    let again = step(&mut world, method);
    assert_eq!((&again.frames, world.known.filling().things), (&first.frames, 1));
    assert!(again.loads < loads, "{} after {loads}", again.loads);
    // Its class was unloaded, and there is another one.
    let other = world.method("app/Other", "run");
    let constant = world.fake.word(other + 8).unwrap();
    world.fake.put(method + 8, constant);
    assert_eq!(step(&mut world, method).frames, ["app/Other.run@1 Interpreter"]);
    assert_eq!(world.known.filling().things, 2);
    // Or what never changes of one is where that of another was.
    let pool = world.fake.word(constant + 8).unwrap();
    let (class, name) = (world.fake.word(pool + 24).unwrap(), world.symbol("app/Third"));
    world.fake.put(class + 24, name);
    assert_eq!(step(&mut world, method).frames, ["app/Third.run@1 Interpreter"]);
    let name = world.symbol("stop");
    world.fake.put(pool + 80, name);
    assert_eq!(step(&mut world, method).frames, ["app/Third.stop@1 Interpreter"]);
}

#[test]
fn a_method_that_vanishes_while_it_is_copied_is_lost_and_counts() {
    let mut world = World::new(Age::New);
    let method = world.named(PAY);
    let constant = world.fake.word(method + 8).unwrap();
    let pool = world.fake.word(constant + 8).unwrap();
    let class = world.fake.word(pool + 24).unwrap();
    let name = world.fake.word(class + 24).unwrap();
    let [method_name, signature, file] =
        [1, 2, 3].map(|number| world.fake.word(pool + 72 + number * 8).unwrap());
    // What tells that it is a method is read before.
    let words = [
        pool + 72 + 16,
        pool + 72 + 24,
        pool + 32,
        name,
        name + 8,
        method_name,
        method_name + 16,
        signature,
        signature + 24,
        file + 8,
    ];
    for address in words {
        let before = world.fake.word(address).unwrap();
        world.fake.forget(address);
        let stepped = step(&mut world, method);
        assert_eq!((&stepped.frames[..], stepped.lost), (&[String::from("lost")][..], 1));
        assert_eq!(stepped.result, Ok(()), "{address:#x}");
        world.fake.put(address, before);
    }
    assert_eq!(world.known.filling().things, 0, "half a copy is none");
    assert_eq!(step(&mut world, method).lost, 0);
}

#[test]
fn what_leads_to_no_names_is_no_method() {
    let mut world = World::new(Age::New);
    let method = world.named(PAY);
    let constant = world.fake.word(method + 8).unwrap();
    let pool = world.fake.word(constant + 8).unwrap();
    let class = world.fake.word(pool + 24).unwrap();
    for address in [method + 8, constant + 8, pool + 24, class + 24, pool + 80] {
        let before = world.fake.word(address).unwrap();
        for wrong in [0, 4088, before + 4, before + 1, 0x6666_0000] {
            world.fake.put(address, wrong);
            let stepped = step(&mut world, method);
            // A name is only looked at when it is copied.
            let lost = stepped.frames == ["lost"];
            assert!(stepped.frames.is_empty() || lost, "{:?} {wrong:#x}", stepped.frames);
        }
        world.fake.put(address, before);
    }
    assert_eq!(world.known.filling().things, 0);
}
