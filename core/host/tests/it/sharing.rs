//! Unwind tables that processes share.

use crate::gate;
use crate::stacks::{
    of, options, share, used_by, watch_only, work_for, work_until, work_until_used,
};
use crate::target::{Scratch, Target};
use std::time::Duration;

const PROCESSES: usize = 24;

/// Whatever else runs on the machine: of what is left out there are no tables.
#[test]
fn processes_of_one_program_share_its_table_and_it_goes_with_the_last() {
    let test = "processes_of_one_program_share_its_table_and_it_goes_with_the_last";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    // It has its libraries in itself: what it has of tables is its own.
    let program = scratch.build("alone", &["target.c"], &["-static", "-Wno-all"]);
    let mut machine = watch_only(&program, options());
    let mut targets = vec![Target::run(&program, &["run"])];
    work_until_used(&mut machine, targets[0].pid(), Duration::from_secs(1));
    machine.flush();
    let before = machine.stats();
    // Its file's, and that of the code that the kernel brings along.
    assert!((1..=2).contains(&before.tables), "{before:?}");
    targets.extend((1..PROCESSES).map(|_| Target::run(&program, &["run"])));
    let each = Duration::from_millis(250);
    work_until(&mut machine, || targets.iter().all(|target| used_by(target.pid()) >= each));
    let profile = machine.flush();
    let with_all = machine.stats();
    let whole = |stack: &crate::stacks::Stack| stack.is_whole_with(&["spin", "before", "main"]);
    for target in &targets {
        let stacks = of(&profile, target.pid());
        let (all, part) = share(&stacks, whole);
        assert!(all >= 5 && part > 0.6, "{part} of {all}: {stacks:#?}");
    }
    assert_eq!(with_all.tables, before.tables, "{with_all:?}");
    assert!(with_all.processes >= PROCESSES, "{with_all:?}");
    drop(targets);
    let is_gone = (0..20).any(|_| {
        work_for(&mut machine, Duration::from_millis(100));
        machine.flush();
        machine.stats().tables == 0
    });
    assert!(is_gone, "{:?}", machine.stats());
}
