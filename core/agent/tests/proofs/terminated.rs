//! SIGTERM, and what else happens to its handler at that moment.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "a handler is called as a host would"
)]

use crate::child::{PATIENCE, isolated, role, size};
use crate::endings::{GENEROUS, Service, random_phase, ready, start_service};
use crate::server::{Reply, Server};
use crate::sys;
use std::ffi::{c_int, c_void};
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static TERMINATED: AtomicBool = AtomicBool::new(false);

/// What was there when the host installed a handler that calls it.
static BEFORE: AtomicU64 = AtomicU64::new(0);

/// Handles the signal, and does what was done before.
unsafe extern "C" fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    unsafe {
        let before: sys::Handler = std::mem::transmute(BEFORE.load(Relaxed));
        before(signal, info, context);
    }
    TERMINATED.store(true, Relaxed);
}

#[test]
fn a_handler_of_the_host_that_calls_the_one_before_it_has_all_the_time_it_wants() {
    isolated(PATIENCE, || {
        if role().is_some() {
            let agent = start_service();
            BEFORE.store(sys::disposition(libc::SIGTERM)[0], Relaxed);
            sys::install(libc::SIGTERM, chain, 0);
            ready();
            while !TERMINATED.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Longer than we may hold up an end.
            std::thread::sleep(Duration::from_secs(2));
            std::mem::forget(agent);
            std::process::exit(7);
        }
        let server = Server::start(vec![Reply::status(200)]);
        let service = Service::start("chains", &server, Duration::from_millis(500));
        service.terminate();
        let (_, status) = service.wait();
        assert_eq!(status.code(), Some(7), "{status}");
    });
}

#[test]
fn a_sigterm_while_profiling_is_turned_on_and_off_is_never_lost() {
    isolated(PATIENCE, || {
        if role().is_some() {
            let agent = start_service();
            ready();
            loop {
                agent.set_enabled(false).unwrap();
                agent.set_enabled(true).unwrap();
            }
        }
        let server = Server::start(vec![Reply::status(200)]);
        for _ in 0..size(10, 500) {
            let service = Service::start("toggles", &server, GENEROUS);
            std::thread::sleep(random_phase() / 10);
            service.terminate();
            let (_, status) = service.wait();
            assert_eq!(status.signal(), Some(libc::SIGTERM), "{status}");
        }
    });
}

/// What tidies up and raises the signal again, which ends the process.
unsafe extern "C" fn tidy(signal: c_int, _info: *mut libc::siginfo_t, _context: *mut c_void) {
    const TIDIED: &[u8] = b"\nending 77\n";
    unsafe {
        libc::write(libc::STDOUT_FILENO, TIDIED.as_ptr().cast(), TIDIED.len());
        libc::raise(signal);
    }
}

#[test]
fn a_handler_that_runs_once_runs_behind_the_last_profile_where_it_is_said_to_end_the_process() {
    isolated(PATIENCE, || {
        if let Some(role) = role() {
            sys::install(libc::SIGTERM, tidy, libc::SA_RESETHAND);
            if role == "said" {
                sondage::one_shot_sigterm_ends_process();
            }
            let agent = start_service();
            let is_tidy = || sys::disposition(libc::SIGTERM)[0] == tidy as *const () as u64;
            while role == "said" && is_tidy() {
                std::thread::sleep(Duration::from_millis(1));
            }
            ready();
            std::thread::sleep(PATIENCE);
            drop(agent);
        }
        let server = Server::start(vec![Reply::status(200)]);
        for role in ["said", "unsaid"] {
            let service = Service::start(role, &server, GENEROUS);
            std::thread::sleep(Duration::from_millis(100));
            service.terminate();
            let (tidied, status) = service.wait();
            assert_eq!(tidied, Some(77), "{role}");
            assert_eq!(status.signal(), Some(libc::SIGTERM), "{role}: {status}");
        }
    });
}
