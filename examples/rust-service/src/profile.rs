//! THE ONE PLACE where the profiler is plugged in; nothing else in this example knows of it.
//!
//! The order of calls is: [`start`] before any other thread exists, [`with_labels`] once on the
//! whole router, [`finish`] after the load and before the service's threads end.

use std::fs;
use std::path::{Path, PathBuf};

use axum::Router;
use sondage::profile::report::{Options, Report};
use sondage::profile::{Profile, html, pprof};
use sondage::{Agent, Config};

use crate::error::{Error, Kind, Result};

/// Functions in the printed table.
const TOP: usize = 20;

/// Functions printed for each route.
const TOP_OF_ROUTE: usize = 3;

/// A profile that is being taken.
#[derive(Debug)]
pub struct Session {
    agent: Agent,
    out: PathBuf,
}

/// Starts profiling this process; what is measured is written under `out`.
///
/// # Errors
/// When the profiler cannot start.
pub fn start(out: &Path) -> Result<Session> {
    let config = Config {
        service_name: "rust-service".to_owned(),
        // One profile of the whole run, which is written below.
        interval: std::time::Duration::from_secs(60 * 60),
        targets: Vec::new(),
        ..Config::default()
    };
    let agent = Agent::start(config).map_err(Error::during(Kind::Io, "start the profiler"))?;
    Ok(Session { agent, out: out.to_owned() })
}

/// Gives every request a label with its route's template, such as `/products/{id}`.
pub fn with_labels(router: Router) -> Router {
    router.layer(sondage::axum::route_labels())
}

/// Ends profiling, writes `profile.pb.gz` and `flame.html`, and prints the top functions, those
/// of each route, and what the profiler cost and lost.
///
/// # Errors
/// When the profile cannot be written.
pub fn finish(session: Session) -> Result<()> {
    let Session { agent, out } = session;
    let profile = agent.flush().map_err(Error::during(Kind::Io, "collect the profile"))?;
    let stats = agent.stats();
    drop(agent);
    write(&out.join("profile.pb.gz"), &pprof::encode_gz(&profile))?;
    write(&out.join("flame.html"), html::encode(&profile).as_bytes())?;
    print(&profile)?;
    let percent = |part: u64| part as f64 * 100.0 / stats.host_cpu.max(1) as f64;
    println!(
        "profiler: {:.2} % of the service's CPU time in its thread, at most {:.2} % in its handler; \
         {:.2} % of CPU time without a sample",
        percent(stats.agent_cpu),
        percent(stats.handler_time),
        percent(stats.unsampled_cpu),
    );
    println!("wrote {0}/profile.pb.gz and {0}/flame.html", out.display());
    Ok(())
}

/// The top functions, then the top few of each route.
fn print(profile: &Profile) -> Result<()> {
    let tabulated = Error::during(Kind::Io, "tabulate the profile");
    let whole = Report::new(profile, &Options::default()).map_err(&tabulated)?;
    println!("{}", whole.to_text(TOP));
    let by_route = Options { by_label: Some("route".to_owned()), ..Options::default() };
    let by_route = Report::new(profile, &by_route).map_err(&tabulated)?;
    let total = by_route.total.max(1) as f64;
    for part in &by_route.by_label {
        let route = part.value.as_deref().unwrap_or("(no route)");
        println!("{:5.1}%  {route}", part.total as f64 * 100.0 / total);
        for function in part.functions.iter().take(TOP_OF_ROUTE) {
            let share = function.self_value as f64 * 100.0 / part.total.max(1) as f64;
            println!("        {share:5.1}%  {}", function.name);
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(Error::during(Kind::Io, "write the profile"))
}
