//! Other processes, read from outside: their memory, their modules, and the stacks of their
//! threads, which are stopped for the moment of a sample.
//!
//! Nothing is loaded into the process and nothing is written to it. A thread is stopped for the time
//! of one walk, some tens of microseconds, by ptrace; should this process be killed meanwhile, the
//! kernel lets the thread go on. Everything that is read there is taken as hostile: the walkers bound
//! every loop, and what makes no sense ends a stack.
//!
//! [`Process`] takes stacks, [`Recorder`] takes samples of what uses CPU time.
#![deny(unsafe_code)]

mod error;
mod hotspot;
mod memory;
mod process;
mod python;
mod recorder;
mod registers;
mod runtime;
mod status;
mod stop;
mod sys;
mod tables;
mod v8;

pub use error::Error;
pub use error::ErrorKind;
pub use memory::RemoteMemory;
pub use process::Process;
pub use process::Taken;
pub use process::ThreadInfo;
pub use python::PythonInfo;
pub use python::RemoteCodes;
pub use recorder::Recorder;
pub use recorder::StopTimes;
pub use status::inner_number;
pub use stop::Stopped;
pub use stop::Tracer;
