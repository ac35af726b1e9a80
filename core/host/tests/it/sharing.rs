//! Unwind tables that processes share.

use crate::gate;
use crate::stacks::{of, options, share, used_by, watch, work_for, work_until, work_until_used};
use crate::target::{Scratch, Target};
use sondage_host::MachineStats;
use std::time::Duration;

const PROCESSES: usize = 24;

#[test]
fn processes_of_one_program_share_its_table_and_it_goes_with_the_last() {
    let test = "processes_of_one_program_share_its_table_and_it_goes_with_the_last";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    // It has its libraries in itself: what it has of tables is its own.
    let program = scratch.build("alone", &["target.c"], &["-static", "-Wno-all"]);
    let mut machine = watch(options());
    let mut first = vec![Target::run(&program, &["run"])];
    work_until_used(&mut machine, first[0].pid(), Duration::from_secs(1));
    machine.flush();
    let before = machine.stats();
    first.extend((1..PROCESSES).map(|_| Target::run(&program, &["run"])));
    let each = Duration::from_millis(250);
    work_until(&mut machine, || first.iter().all(|target| used_by(target.pid()) >= each));
    let profile = machine.flush();
    let with_all = machine.stats();
    let whole = |stack: &crate::stacks::Stack| stack.is_whole_with(&["spin", "before", "main"]);
    for target in &first {
        let stacks = of(&profile, target.pid());
        let (all, part) = share(&stacks, whole);
        assert!(all >= 5 && part > 0.6, "{part} of {all}: {stacks:#?}");
    }
    // Others may begin on this machine meanwhile, each with few files.
    let most = before.tables + PROCESSES / 3;
    assert!(with_all.tables <= most, "{before:?}, then {with_all:?}");
    assert!(with_all.processes >= before.processes + PROCESSES - 4, "{with_all:?}");
    drop(first);
    let mut after = with_all.clone();
    let gone = |after: &MachineStats| {
        after.tables < with_all.tables && after.processes + PROCESSES - 8 <= with_all.processes
    };
    // Others may begin meanwhile, and have tables until they end.
    for _ in 0..20 {
        work_for(&mut machine, Duration::from_millis(300));
        machine.flush();
        after = machine.stats();
        if gone(&after) {
            break;
        }
    }
    assert!(gone(&after), "{with_all:?}, then {after:?}");
}
