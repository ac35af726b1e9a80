//! A process in namespaces of its own, whose program is nowhere to be found any more.

use crate::gate;
use crate::stacks::{assert_mostly, of, options, watch, work_until_used};
use crate::target::{Scratch, Target};
use std::fs;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_deleted_program_in_its_own_mount_and_pid_namespace_gets_names() {
    let test = "a_deleted_program_in_its_own_mount_and_pid_namespace_gets_names";
    let Some(_turn) = gate::enter(test) else { return };
    let scratch = Scratch::new();
    let program = scratch.target();
    // On a file system that only it has.
    let script = "mount -t tmpfs none /mnt && cp \"$0\" /mnt/target && exec /mnt/target gone";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]).arg(program);
    let target = Target::start(&mut command);
    let children = format!("/proc/{0}/task/{0}/children", target.pid());
    let pid: u32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let file = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(file.to_str(), Some("/mnt/target (deleted)"));
    let mut machine = watch(options());
    work_until_used(&mut machine, pid, Duration::from_secs(1));
    assert_mostly(&of(&machine.flush(), pid), &["spin", "before", "main"], 0.9);
}
