//! Processes that change while they are sampled.

use crate::gate;
use crate::stacks::{assert_mostly, of, options, share, watch, work_for, work_until_used};
use crate::target::{Scratch, Target, signal};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_process_that_runs_another_program_has_the_functions_of_each_in_turn() {
    let test = "a_process_that_runs_another_program_has_the_functions_of_each_in_turn";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let other = scratch.build("other", &["target.c"], &["-DWORK=afterwards", "-ldl"]);
    let program = scratch.target();
    let mut machine = watch(options());
    for _ in 0..3 {
        let mut target = Target::run(&program, &["exec", other.to_str().unwrap()]);
        work_until_used(&mut machine, target.pid(), SECOND);
        assert_mostly(&of(&machine.flush(), target.pid()), &["spin", "before", "main"], 0.9);
        target.ask();
        assert_eq!(target.line(), "started");
        // What is left of the first program.
        machine.flush();
        work_until_used(&mut machine, target.pid(), SECOND);
        let after = of(&machine.flush(), target.pid());
        // The profile before took some time, in which nobody said what code the program has.
        assert_mostly(&after, &["spin", "afterwards", "main"], 0.8);
        assert_eq!(share(&after, |stack| stack.has("before")).1, 0.0, "{after:#?}");
    }
}

#[test]
fn the_stacks_before_and_after_an_exec_are_not_mixed_within_one_profile() {
    let test = "the_stacks_before_and_after_an_exec_are_not_mixed_within_one_profile";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let other = scratch.build("other", &["target.c"], &["-DWORK=afterwards", "-ldl"]);
    let mut target = Target::run(&scratch.target(), &["exec", other.to_str().unwrap()]);
    let mut machine = watch(options());
    work_until_used(&mut machine, target.pid(), SECOND);
    target.ask();
    assert_eq!(target.line(), "started");
    // For some of the time after it, nobody has said what code the process has.
    work_until_used(&mut machine, target.pid(), 2 * SECOND);
    let both = of(&machine.flush(), target.pid());
    for name in ["before", "afterwards"] {
        let (all, part) = share(&both, |stack| stack.is_whole_with(&["spin", name, "main"]));
        assert!(all > 100 && part > 0.25, "{name}: {part} of {all}: {both:#?}");
    }
    let mixed = share(&both, |stack| stack.has("before") && stack.has("afterwards"));
    assert_eq!(mixed.1, 0.0, "{both:#?}");
}

#[test]
fn a_fork_without_an_exec_is_a_process_of_its_own_with_whole_stacks() {
    let test = "a_fork_without_an_exec_is_a_process_of_its_own_with_whole_stacks";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let mut target = Target::run(&scratch.target(), &["fork"]);
    let mut machine = watch(options());
    work_until_used(&mut machine, target.pid(), SECOND);
    target.ask();
    let child: u32 = target.line().parse().unwrap();
    work_until_used(&mut machine, child, SECOND);
    let profile = machine.flush();
    assert_mostly(&of(&profile, child), &["spin", "in_child", "main"], 0.9);
    let parent = of(&profile, target.pid());
    assert_mostly(&parent, &["spin", "before", "main"], 0.9);
    assert_eq!(share(&parent, |stack| stack.has("in_child")).1, 0.0);
    signal(child, "KILL");
    target.wait();
}

#[test]
fn a_library_that_is_loaded_later_gets_names_and_whole_stacks() {
    let test = "a_library_that_is_loaded_later_gets_names_and_whole_stacks";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let plugin = scratch.build("plugin.so", &["plugin.c"], &["-shared", "-fPIC"]);
    let target = Target::run(&scratch.target(), &["load", plugin.to_str().unwrap()]);
    let mut machine = watch(options());
    work_until_used(&mut machine, target.pid(), SECOND);
    assert_mostly(&of(&machine.flush(), target.pid()), &["spin", "before", "main"], 0.9);
    target.ask();
    // Until new code is looked for.
    work_until_used(&mut machine, target.pid(), SECOND);
    machine.flush();
    work_until_used(&mut machine, target.pid(), SECOND);
    let after = of(&machine.flush(), target.pid());
    assert_mostly(&after, &["plugin_leaf", "plugin", "loads", "main"], 0.9);
}

#[test]
fn a_process_that_ends_is_in_the_profile_and_then_forgotten() {
    let test = "a_process_that_ends_is_in_the_profile_and_then_forgotten";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let mut target = Target::run(&scratch.target(), &["end"]);
    let mut machine = watch(options());
    work_until_used(&mut machine, target.pid(), SECOND);
    target.ask();
    target.wait();
    work_for(&mut machine, SECOND / 5);
    assert_mostly(&of(&machine.flush(), target.pid()), &["spin", "before", "main"], 0.9);
    work_for(&mut machine, SECOND / 5);
    assert!(of(&machine.flush(), target.pid()).is_empty());
}
