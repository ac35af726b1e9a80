//! Code that a runtime made at run time, named by what it writes down.

use crate::gate;
use crate::stacks::{assert_mostly, of, options, share, watch, work_until_used};
use crate::target::{Scratch, Target};
use sondage::profile::Profile;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// CPU time of the program, 400 samples.
const TIME: Duration = Duration::from_secs(2);

/// Where the function spins: the files and lines of its samples.
fn places(profile: &Profile, name: &str) -> BTreeSet<(String, u32)> {
    let mut places = BTreeSet::new();
    for line in profile.locations().iter().flat_map(|location| &location.lines) {
        let function = &profile.functions()[line.function.index()];
        if profile.text(function.name) == name {
            places.insert((profile.text(function.file).to_owned(), line.line));
        }
    }
    places
}

#[test]
fn jitted_code_has_names_and_lines_of_its_dump_and_then_of_what_took_its_place() {
    let test = "jitted_code_has_names_and_lines_of_its_dump_and_then_of_what_took_its_place";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cli/tests/programs/jit.c");
    let program = scratch.build("jit", &[source.to_str().unwrap()], &["-Wall", "-Werror"]);
    let folder = program.parent().unwrap().to_str().unwrap();
    let mut target = Target::run(&program, &[folder]);
    let mut machine = watch(options());
    for (name, line) in [("jitted", 11), ("jitted_again", 21)] {
        work_until_used(&mut machine, target.pid(), TIME);
        let profile = machine.flush();
        let stacks = of(&profile, target.pid());
        assert_mostly(&stacks, &[name, "main"], 0.6);
        let (_, by_map) = share(&stacks, |stack| stack.is_whole_with(&["mapped_only", "main"]));
        assert!((0.15..0.35).contains(&by_map), "{by_map}: {stacks:#?}");
        assert_eq!(share(&stacks, |stack| stack.has("by_map")).1, 0.0, "{stacks:#?}");
        let places = places(&profile, name);
        assert!(places.contains(&("made.src".to_owned(), line)), "{places:?}");
        target.ask();
        assert_eq!(target.line(), "told");
        // What was sampled before it was told.
        machine.flush();
    }
    std::fs::remove_file(format!("/tmp/perf-{}.map", target.pid())).unwrap();
}
