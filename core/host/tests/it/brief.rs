//! Processes that end after their first sample or two.

use crate::gate;
use crate::stacks::{Stack, of, options, share, watch};
use crate::target::{Scratch, Target};
use std::time::Duration;

/// What was sampled before a program was replaced is not named after the one that took its place, where
/// the agent comes too late to see the first.
#[test]
fn a_program_that_is_replaced_before_it_is_known_has_no_functions_of_the_next() {
    let Some(_gate) = gate::enter("programs that are replaced at once") else { return };
    let scratch = Scratch::new();
    // The same functions at the same addresses.
    let next = scratch.build("next", &["target.c"], &["-DWORK=afterwards", "-no-pie", "-ldl"]);
    let program = scratch.build("first", &["target.c"], &["-no-pie", "-ldl"]);
    let mut machine = watch(options());
    let mut processes = Vec::new();
    for _ in 0..30 {
        let mut target = Target::run(&program, &["brief", next.to_str().unwrap()]);
        processes.push(target.pid());
        assert_eq!(target.line(), "started", "the next one");
        machine.work();
        target.wait();
    }
    let profile = machine.flush();
    let stacks: Vec<_> = processes.iter().flat_map(|pid| of(&profile, *pid)).collect();
    let (all, false_names) = share(&stacks, |stack| stack.has("afterwards"));
    println!("{all} samples, {false_names} under a name of the next program");
    assert!(all >= 20 && false_names == 0.0, "{false_names} of {all}: {stacks:#?}");
}

#[test]
fn the_first_samples_of_processes_have_their_stacks_too() {
    let Some(_gate) = gate::enter("samples of brief processes") else { return };
    let scratch = Scratch::new();
    let program = scratch.target();
    let mut machine = watch(options());
    let mut processes = Vec::new();
    for _ in 0..60 {
        let mut target = Target::run(&program, &["brief"]);
        processes.push(target.pid());
        while !target.has_ended() {
            machine.wait(Duration::from_millis(5));
            machine.work();
        }
    }
    let profile = machine.flush();
    let per_process: Vec<_> = processes.iter().map(|pid| of(&profile, *pid)).collect();
    let sampled = per_process.iter().filter(|stacks| !stacks.is_empty()).count();
    // Before and behind their work is what has no stack of its own: execve, exit, the dynamic linker.
    let works = |stack: &Stack| stack.has("spin");
    let stacks: Vec<_> = per_process.into_iter().flatten().filter(works).collect();
    let (all, whole) = share(&stacks, |stack| stack.is_whole_with(&["spin", "before", "main"]));
    println!("{all} samples of the work of {sampled} processes: {whole} whole");
    assert!(sampled >= 40 && all < 2 * sampled as i64, "{all} samples of {sampled} processes");
    assert!(whole >= 0.95, "{whole} whole: {stacks:#?}");
}
