use super::*;

const MS: u64 = 1_000_000;

fn seen(unsampled_percent: u64) -> Seen {
    Seen { host: 1000 * MS, unsampled: 10 * MS * unsampled_percent, period: 10 * MS, refused: 0 }
}

fn never(_: &Cause) -> bool {
    false
}

/// Flushes until something is to be done, at most so many.
fn flushes_until(switch: &mut Switch, seen: Seen, over: bool, limit: u32) -> Option<(u32, Move)> {
    (1..=limit).find_map(|flush| match switch.flushed(seen, |_| over) {
        Move::None => None,
        done => Some((flush, done)),
    })
}

#[test]
fn only_a_habit_of_unsampled_time_moves_to_ebpf() {
    let mut switch = Switch::new(true, false);
    for high in [90, 90, 10, 90, 90, 50, 90, 90] {
        assert_eq!(switch.flushed(seen(high), never), Move::None);
    }
    assert_eq!(switch.flushed(seen(90), never), Move::Out(Cause::Unsampled(90)));
}

#[test]
fn a_process_that_idles_shows_nothing() {
    let mut switch = Switch::new(true, false);
    let idle = Seen { host: 199 * MS, unsampled: 199 * MS, ..seen(0) };
    assert_eq!(flushes_until(&mut switch, idle, false, 100), None);
    // Nor does it end a row.
    assert_eq!(flushes_until(&mut switch, seen(80), false, 2), None);
    assert_eq!(flushes_until(&mut switch, idle, false, 100), None);
    assert_eq!(switch.flushed(seen(80), never), Move::Out(Cause::Unsampled(80)));
    assert_eq!(Switch::new(true, false).flushed(Seen::default(), never), Move::None);
}

#[test]
fn refused_threads_count_sooner_and_only_if_they_matter() {
    let mut switch = Switch::new(true, false);
    let refused = |percent| Seen { refused: 7, ..seen(percent) };
    assert_eq!(flushes_until(&mut switch, refused(10), false, 100), None);
    let (flushes, moved) = flushes_until(&mut switch, refused(11), false, 100).unwrap();
    assert_eq!((flushes, moved), (2, Move::Out(Cause::Timers("refused to 7 threads".into()))));
}

#[test]
fn frames_of_a_runtime_are_given_up_only_where_there_would_be_none() {
    let mut switch = Switch::new(true, true);
    let refused = Seen { refused: 7, ..seen(90) };
    assert_eq!(flushes_until(&mut switch, refused, false, 100), None);
    assert!(!switch.leaves_for(&Cause::Unsampled(90)));
    for cause in [Cause::Timers("EPERM".into()), Cause::Signal, Cause::Policy] {
        assert!(switch.leaves_for(&cause));
    }
}

#[test]
fn an_engine_that_was_asked_for_is_not_left() {
    let mut switch = Switch::new(false, false);
    assert_eq!(flushes_until(&mut switch, Seen { refused: 1, ..seen(99) }, false, 100), None);
    assert!(!switch.leaves_for(&Cause::Signal));
}

#[test]
fn looks_whether_the_cause_is_gone_come_ever_more_seldom() {
    let mut switch = Switch::new(true, false);
    switch.went_out(Cause::Signal);
    let mut looks = Vec::new();
    for flush in 1..=200 {
        let look = |cause: &Cause| {
            assert_eq!(*cause, Cause::Signal);
            looks.push(flush);
            false
        };
        assert_eq!(switch.flushed(seen(0), look), Move::None);
    }
    assert_eq!(looks, [3, 9, 21, 45, 77, 109, 141, 173]);
    assert_eq!(flushes_until(&mut switch, seen(0), true, 40), Some((5, Move::Back)));
    switch.came_back();
    assert!(switch.is_inside());
}

#[test]
fn who_goes_to_and_fro_does_so_ever_more_seldom() {
    let mut switch = Switch::new(true, false);
    let mut stays = Vec::new();
    for _ in 0..6 {
        // Bad as soon as signals are back, gone as soon as they are left.
        let (_, out) = flushes_until(&mut switch, seen(90), false, 1000).unwrap();
        let Move::Out(cause) = out else { panic!("{out:?}") };
        switch.went_out(cause);
        stays.push(flushes_until(&mut switch, seen(0), true, 1000).unwrap().0);
        switch.came_back();
    }
    assert_eq!(stays, [3, 6, 12, 24, 32, 32]);
}

#[test]
fn after_a_long_time_with_signals_the_first_pause_is_short_again() {
    let mut switch = Switch::new(true, false);
    for expected in [3, 6] {
        switch.went_out(Cause::Signal);
        let (flushes, moved) = flushes_until(&mut switch, seen(0), true, 100).unwrap();
        assert_eq!((flushes, moved), (expected, Move::Back));
        switch.came_back();
    }
    assert_eq!(flushes_until(&mut switch, seen(0), true, 24), None);
    switch.went_out(Cause::Signal);
    assert_eq!(flushes_until(&mut switch, seen(0), true, 100), Some((3, Move::Back)));
}

#[test]
fn what_ebpf_does_not_see_either_is_left_to_signals_for_long() {
    let mut switch = Switch::new(true, false);
    switch.went_out(Cause::Unsampled(90));
    let (flushes, moved) = flushes_until(&mut switch, seen(90), false, 100).unwrap();
    assert_eq!((flushes, moved), (3, Move::Back));
    switch.came_back();
    let (flushes, _) = flushes_until(&mut switch, seen(90), false, 100).unwrap();
    assert_eq!(flushes, LONGEST_PAUSE);
}

#[test]
fn where_there_is_no_ebpf_it_is_asked_for_ever_more_seldom() {
    let mut switch = Switch::new(true, false);
    let mut tries = Vec::new();
    let mut flush = 0;
    for _ in 0..5 {
        let (flushes, out) = flushes_until(&mut switch, seen(90), false, 1000).unwrap();
        let Move::Out(cause) = out else { panic!("{out:?}") };
        flush += flushes;
        tries.push(flush);
        switch.could_not_go(cause, true);
        assert!(switch.is_inside());
    }
    assert_eq!(tries, [3, 9, 21, 45, 77]);
}

#[test]
fn where_nothing_works_signals_are_tried_again() {
    let mut switch = Switch::new(true, false);
    let cause = Cause::Timers("EPERM".into());
    assert!(switch.leaves_for(&cause));
    switch.could_not_go(cause.clone(), false);
    assert_eq!(switch.cause(), Some(&cause));
    assert_eq!(flushes_until(&mut switch, seen(100), false, 20), None);
    assert_eq!(flushes_until(&mut switch, seen(100), true, 1), Some((1, Move::Back)));
    switch.came_back();
    assert_eq!(switch.cause(), None);
}
