//! A server in the agent, from which Prometheus, Alloy, Parca and `go tool pprof` fetch profiles.
//!
//! | path | gives |
//! |---|---|
//! | `/debug/pprof/profile?seconds=N` | gzipped pprof of exactly the next N seconds, 1 to 300, by default 10 |
//! | `/metrics` | the agent's counters in Prometheus' text format |
//! | `/debug/pprof/heap` | 404: no heap profile is taken |
//! | `/`, `/debug/pprof/` | this list |
//!
//! It runs on a thread of its own with one-threaded tokio, so that a hundred slow clients cost no
//! more than their sockets. It never waits for the agent thread, nor that for it.

mod answer;
mod connection;
mod gate;
mod server;

pub(crate) use server::Server;
