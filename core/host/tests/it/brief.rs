//! Processes that end after their first sample or two.

use crate::gate;
use crate::stacks::{Stack, of, options, share, watch};
use crate::target::{Scratch, Target};
use std::time::Duration;

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
