//! The ceiling of what unwind tables take.

use crate::gate;
use crate::stacks::{of, options, share, watch, work_for, work_until_used};
use crate::target::{Scratch, Target};
use sondage_host::Machine;
use std::time::{Duration, Instant};

/// Flushes until the stacks of a process are whole, or no longer.
fn wait_until_whole(machine: &mut Machine, pid: u32) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        work_for(machine, Duration::from_millis(300));
        let stacks = of(&machine.flush(), pid);
        let (all, part) = share(&stacks, |stack| stack.is_whole_with(&["wide", "main"]));
        if all >= 5 && part > 0.9 {
            return true;
        }
    }
    false
}

#[test]
fn a_table_that_finds_no_room_is_counted_and_put_once_there_is_some() {
    let test = "a_table_that_finds_no_room_is_counted_and_put_once_there_is_some";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let build = |name, first: &str, second: &str| {
        let define = |name, value| format!("-Wa,--defsym,{name}={value}");
        let options = [&*define("FIRST", first), &*define("SECOND", second), "-no-pie"];
        scratch.build(name, &["wide.s", "announce.c"], &options)
    };
    // 1.2 MB each, and 2 MiB for all.
    let (one, other) = (build("one", "48", "32"), build("other", "80", "64"));
    let mut options = options();
    options.sampling.table_bytes = 2 << 20;
    let mut machine = watch(options);
    let one = Target::run(&one, &[]);
    assert!(wait_until_whole(&mut machine, one.pid()), "{:?}", machine.stats());
    assert_eq!(machine.stats().table_bytes, 2 << 20);
    let other = Target::run(&other, &[]);
    work_until_used(&mut machine, other.pid(), Duration::from_secs(1));
    let stacks = of(&machine.flush(), other.pid());
    let (all, part) = share(&stacks, |stack| stack.has("wide") && !stack.has("main"));
    assert!(all >= 30 && part > 0.9, "{part} of {all}: {stacks:#?}");
    let stats = machine.stats();
    assert!(stats.refused_tables > 0 && stats.table_bytes == 2 << 20, "{stats:?}");
    let error = stats.last_error.unwrap_or_default();
    assert!(error.contains("unwind tables take 2 MiB already"), "{error}");
    drop(one);
    assert!(wait_until_whole(&mut machine, other.pid()), "{:?}", machine.stats());
    assert_eq!(machine.stats().table_bytes, 2 << 20);
}
