use super::*;

const BASE: Duration = Duration::from_secs(20);
const MAX: Duration = Duration::from_secs(60);

fn seed(seed: u64) -> Random {
    Random::from_seed(seed)
}

fn nth(backoff: &mut Backoff, failure: u32) -> f64 {
    backoff.answered();
    (0..failure).map(|_| backoff.failed()).last().unwrap().as_secs_f64()
}

#[test]
fn long_waits_double_up_to_the_maximum_and_are_spread_over_three_quarters() {
    let mut backoff = Backoff::new(BASE, MAX);
    for (failure, most) in [(1, 20.0), (2, 40.0), (3, 60.0), (4, 60.0), (40, 60.0)] {
        let waits: Vec<f64> = (0..2000).map(|_| nth(&mut backoff, failure)).collect();
        assert!(waits.iter().all(|wait| (most / 4.0..=most).contains(wait)), "{failure}");
        let mean = waits.iter().sum::<f64>() / 2000.0 / most;
        assert!((mean - 0.625).abs() < 0.03, "{failure}: mean {mean}");
    }
    backoff.failures = u32::MAX;
    backoff.long_waits = u32::MAX;
    assert!(backoff.failed() <= MAX);
}

#[test]
fn tries_are_made_soon_only_while_they_have_helped() {
    let mut backoff = Backoff::new(BASE, MAX);
    assert!(backoff.failed() >= BASE / 4, "nothing is known yet");
    backoff.delivered();
    assert!(backoff.failed() <= BASE / 20, "the second try helped");
    assert!(backoff.failed() <= BASE / 10);
    assert!(backoff.failed() <= BASE / 5);
    assert!(backoff.failed() >= BASE / 4, "three were earned");
    for _ in 0..10 {
        backoff.delivered();
        backoff.failed();
    }
    backoff.delivered();
    let soon = (0..20).filter(|_| backoff.failed() < BASE / 4).count();
    assert_eq!(soon, 8, "in a row");
    backoff.failed();
    backoff.delivered();
    for _ in 0..50 {
        backoff.delivered();
    }
    assert!(backoff.failed() >= BASE / 4, "a calm time forgets it");
}

/// Seconds between two profiles of an agent.
const INTERVAL: f64 = 10.0;

const AGENTS: u64 = 1000;

/// Uploads that wait beyond which deliveries are paced.
const UNPACED: u32 = 4;

/// An agent's tries over time: profiles queue up, the oldest is tried first, and while it waits
/// for its next try none is sent.
struct Agent {
    backoff: Backoff,
    next_profile: f64,
    waiting: u32,
    not_before: f64,
}

/// The times of all tries of a thousand agents over `end` seconds, where `answers` says for each
/// time whether a try delivers. An agent keeps `queue` profiles at most; more than nine are in a
/// spool.
fn tries(queue: u32, end: f64, mut answers: impl FnMut(f64) -> bool) -> Vec<f64> {
    let mut tries = Vec::new();
    for number in 0..AGENTS {
        let phase = number as f64 / AGENTS as f64 * INTERVAL;
        let backoff = Backoff::with(BASE, MAX, seed(number.wrapping_mul(0x5851_f42d_4c95_7f2d)));
        let mut agent = Agent { backoff, next_profile: phase, waiting: 0, not_before: 0.0 };
        while agent.next_profile < end {
            let now = agent.next_profile;
            agent.waiting = (agent.waiting + 1).min(queue);
            agent.next_profile += INTERVAL;
            agent.run(now, queue > 9, &mut tries, &mut answers);
        }
    }
    tries
}

impl Agent {
    fn run(
        &mut self,
        now: f64,
        spooled: bool,
        tries: &mut Vec<f64>,
        answers: &mut impl FnMut(f64) -> bool,
    ) {
        let mut at = now.max(self.not_before);
        while self.waiting > 0 && at < self.next_profile {
            tries.push(at);
            if answers(at) {
                let pace = self.backoff.delivered().as_secs_f64();
                self.waiting -= 1;
                at += if spooled && self.waiting > UNPACED { pace } else { 0.0 };
                self.not_before = at;
            } else {
                at += self.backoff.failed().as_secs_f64();
                self.not_before = at;
            }
        }
    }
}

/// Tries in the busiest window of `width` seconds between two times, as a multiple of the
/// profiles that are made in as much time.
fn peak(tries: &[f64], times: std::ops::Range<f64>, width: f64) -> f64 {
    let base = AGENTS as f64 / INTERVAL * width;
    let mut sorted: Vec<f64> = tries.iter().copied().filter(|at| times.contains(at)).collect();
    sorted.sort_by(f64::total_cmp);
    let busiest = (0..sorted.len()).map(|first| {
        let end = sorted.partition_point(|at| *at < sorted[first] + width);
        end - first
    });
    busiest.max().unwrap_or(0) as f64 / base
}

#[test]
fn a_thousand_agents_load_a_failing_server_with_at_most_half_more_than_usual() {
    let outage = 100.0..1900.0;
    let tries = tries(9, 2200.0, |at| !outage.contains(&at));
    let calm = peak(&tries, 0.0..100.0, INTERVAL);
    assert!((0.9..=1.1).contains(&calm), "{calm}");
    let begin = peak(&tries, 100.0..160.0, INTERVAL);
    let second = peak(&tries, 100.0..1900.0, 1.0);
    let later = peak(&tries, 200.0..1900.0, INTERVAL);
    let back = peak(&tries, 1900.0..2200.0, INTERVAL);
    println!("first minute {begin:.2}, one second {second:.2}, later {later:.2}, end {back:.2}");
    assert!(begin <= 1.5 && second <= 1.5, "{begin:.2} {second:.2}");
    assert!(later <= 0.5, "{later:.2}");
    // They come back spread over the longest wait, each with what it kept.
    assert!(back <= 3.5, "{back:.2}");
}

#[test]
fn a_thousand_agents_try_no_more_than_needed_where_a_third_of_the_tries_fail() {
    let mut random = seed(7);
    let tries = tries(9, 1000.0, |_| random.fraction() >= 0.3);
    let peak = peak(&tries, 200.0..1000.0, INTERVAL);
    println!("peak {peak:.2}");
    // 1 / 0.7 is what every delivery takes.
    assert!(peak <= 1.6, "{peak:.2}");
}

#[test]
fn a_thousand_spools_of_half_an_hour_are_not_emptied_at_once_and_not_too_late() {
    let outage = 100.0..1900.0;
    let tries = tries(400, 2700.0, |at| !outage.contains(&at));
    let back = peak(&tries, 1900.0..2700.0, INTERVAL);
    let calm = peak(&tries, 2600.0..2700.0, INTERVAL);
    println!("peak {back:.2}, after 700 s {calm:.2}");
    assert!(back <= 5.0, "{back:.2}");
    assert!(calm <= 1.1, "{calm:.2}");
}

#[test]
fn a_thousand_agents_do_not_come_back_in_step() {
    let outage = 100.0..400.0;
    let tries = tries(9, 600.0, |at| !outage.contains(&at));
    let mut first = vec![0; 60];
    for at in tries.iter().filter(|at| (400.0..460.0).contains(*at)) {
        first[(at - 400.0) as usize] += 1;
    }
    let busiest = first.iter().max().unwrap();
    println!("busiest second: {busiest} uploads");
    assert!(*busiest < 400, "{busiest}: in step it would be 9000");
}

#[test]
fn where_a_third_of_the_tries_fail_profiles_arrive_within_three_intervals() {
    const PROFILES: u32 = 100_000;
    let mut random = seed(11);
    let mut backoff = Backoff::with(BASE, MAX, seed(12));
    let mut at: f64 = 0.0;
    let mut late = 0;
    for profile in 0..PROFILES {
        let made = f64::from(profile) * INTERVAL;
        at = at.max(made);
        loop {
            let dice = random.fraction();
            // A server that stalls costs the whole timeout of a try, 10 s.
            at += if dice < 0.1 { 10.0 } else { 0.01 };
            if dice >= 0.3 {
                backoff.delivered();
                break;
            }
            at += backoff.failed().as_secs_f64();
        }
        late += u32::from(at - made > 3.0 * INTERVAL);
    }
    let share = f64::from(late) / f64::from(PROFILES);
    println!("{:.3} % late", share * 100.0);
    assert!(share <= 0.01, "{share}");
}
