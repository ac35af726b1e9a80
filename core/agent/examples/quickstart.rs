//! Profiles itself for two seconds and writes `flame.html`.
//!
//! `cargo run --release -p sondage --example quickstart`

use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Without targets the profile is only returned; the default writes files.
    let config = sondage::Config { targets: Vec::new(), ..sondage::Config::default() };
    let agent = sondage::Agent::start(config)?;

    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        sondage::labels([("job", "sum")]).scope(|| black_box(sum(30_000)));
        sondage::labels([("job", "sort")]).scope(|| black_box(sort(1_000)));
    }

    let profile = agent.stop()?;
    std::fs::write("flame.html", sondage::profile::html::encode(&profile))?;
    let options = sondage::profile::report::Options::default();
    println!("{}", sondage::profile::report::Report::new(&profile, &options)?.to_text(10));
    println!("open flame.html in a browser");
    Ok(())
}

#[inline(never)]
fn sum(n: u64) -> u64 {
    (0..n).fold(1, |total, i| black_box(total.wrapping_mul(31).wrapping_add(i)))
}

#[inline(never)]
fn sort(n: u64) -> Vec<u64> {
    let mut values: Vec<u64> = (0..n).map(|i| i.wrapping_mul(0x9e37_79b9) % 1_000).collect();
    values.sort_unstable();
    values
}
