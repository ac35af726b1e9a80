//! Some processes of a service profile, and count for all.

use crate::profile::Profile;
use crate::random::Random;

/// Whether this process is one of those that profile, decided once when its agent starts.
///
/// With a share of a tenth, a tenth of the processes profile and everything they see counts ten
/// times, so that the sum over a service is right on average. A process that was not chosen and
/// is turned on by hand counts for itself alone: being chosen by hand is no chance.
#[derive(Debug)]
pub(super) struct Participation {
    share: f64,
    participates: bool,
    random: Random,
}

impl Participation {
    pub(super) fn decide(share: f64) -> Self {
        let mut random = Random::new();
        // A configuration made by hand may hold anything: what is no share is all.
        let share = if share > 0.0 && share < 1.0 { share } else { 1.0 };
        let participates = random.fraction() < share;
        Self { share, participates, random }
    }

    pub(super) fn share(&self) -> f64 {
        self.share
    }

    pub(super) fn participates(&self) -> bool {
        self.participates
    }

    /// Makes a finished profile count for the processes that do not profile, and says so in it.
    pub(super) fn weigh(&mut self, profile: &mut Profile) {
        let share = self.share;
        if share >= 1.0 {
            return;
        }
        let comment = if self.participates {
            profile.scale(1.0 / share, &mut self.random);
            let factor = 1.0 / share;
            format!("participation {share}: every value is multiplied by {factor}")
        } else {
            format!("participation {share}: not chosen, turned on by hand; values count once")
        };
        profile.meta.comments.push(comment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{LabelSetId, LossCause, ValueType};

    #[test]
    fn of_many_starts_the_configured_share_participates() {
        for share in [0.1, 0.5, 0.9] {
            let chosen = (0..20_000).filter(|_| Participation::decide(share).participates).count();
            let measured = chosen as f64 / 20_000.0;
            // Five standard deviations of the half.
            assert!((measured - share).abs() < 0.018, "{share}: {measured}");
        }
        assert!((0..1000).all(|_| Participation::decide(1.0).participates));
    }

    fn profile_of(samples: i64) -> Profile {
        let mut profile = Profile::new(vec![
            ValueType::new("samples", "count"),
            ValueType::new("cpu", "nanoseconds"),
        ]);
        let frame = profile.named_location("work");
        let stack = profile.stack(&[frame]);
        profile.add(stack, LabelSetId::default(), &[samples, samples * 10_000_000]);
        profile.add_loss(LossCause::Missed, 3);
        profile.meta.period = Some((ValueType::new("cpu", "nanoseconds"), 10_000_000));
        profile
    }

    #[test]
    fn the_sum_over_many_processes_is_what_all_of_them_did() {
        let (processes, share) = (30_000, 0.3);
        let (mut samples, mut cpu) = (0, 0);
        for _ in 0..processes {
            let mut participation = Participation::decide(share);
            if participation.participates() {
                let mut profile = profile_of(2);
                participation.weigh(&mut profile);
                samples += profile.total(0);
                cpu += profile.total(1);
            }
        }
        let samples = samples as f64 / f64::from(2 * processes);
        let cpu = cpu as f64 / (f64::from(2 * processes) * 1e7);
        // A standard deviation is 0.9 %.
        assert!((samples - 1.0).abs() < 0.045 && (cpu - 1.0).abs() < 0.045, "{samples} {cpu}");
    }

    #[test]
    fn losses_and_the_period_are_weighed_and_the_profile_says_so() {
        let mut chosen = Participation { share: 0.5, participates: true, random: Random::new() };
        let mut profile = profile_of(7);
        chosen.weigh(&mut profile);
        assert_eq!((profile.total(0), profile.total(1)), (14, 140_000_000));
        assert_eq!(profile.losses()[0].value, 6);
        assert_eq!(profile.meta.period.as_ref().unwrap().1, 20_000_000);
        assert!(profile.meta.comments[0].contains("multiplied by 2"));

        let mut other = Participation { share: 0.5, participates: false, random: Random::new() };
        let mut profile = profile_of(7);
        other.weigh(&mut profile);
        assert_eq!(profile.total(0), 7);
        assert!(profile.meta.comments[0].contains("by hand"));
    }
}
