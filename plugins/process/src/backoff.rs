//! Whether and when a program that ended is started again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use micro_plugin_api::runtime::{Exit, RestartPolicy, RestartWhen};

/// Whether an end of this kind is followed by a new start.
pub(crate) fn restarts(policy: &RestartPolicy, exit: &Exit) -> bool {
    match policy.when {
        RestartWhen::Always => true,
        RestartWhen::OnFailure => exit.code != Some(0),
        _ => false,
    }
}

/// How many deaths in a row there have been with this one, which came after a run of `ran`.
pub(crate) fn deaths(policy: &RestartPolicy, before: u32, ran: Duration) -> u32 {
    if ran >= Duration::from_millis(policy.healthy_ms) {
        1
    } else {
        before.saturating_add(1)
    }
}

/// The pause after so many deaths in a row, varied by up to a fifth.
pub(crate) fn pause(policy: &RestartPolicy, deaths: u32) -> Duration {
    // Randomly keyed, which is all the chance that is needed here.
    let chance = RandomState::new().build_hasher().finish() % 401;
    varied(policy, deaths, chance)
}

/// `chance` is between 0 and 400.
fn varied(policy: &RestartPolicy, deaths: u32, chance: u64) -> Duration {
    let doublings = deaths.saturating_sub(1).min(32);
    let even = policy.initial_ms.saturating_mul(1 << doublings);
    let even = even.min(policy.max_ms);
    let varied = u128::from(even) * u128::from(800 + chance) / 1000;
    Duration::from_millis(u64::try_from(varied).unwrap_or(u64::MAX).min(policy.max_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_vary_by_a_fifth() {
        let policy = RestartPolicy::default();
        let even = |deaths| varied(&policy, deaths, 200).as_millis();
        let pauses: Vec<_> = (1..=11).map(even).collect();
        assert_eq!(
            pauses,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000
            ]
        );
        assert_eq!(even(u32::MAX), 30_000);
        assert_eq!(varied(&policy, 1, 0).as_millis(), 80);
        assert_eq!(varied(&policy, 1, 400).as_millis(), 120);
        assert_eq!(varied(&policy, 20, 400).as_millis(), 30_000);
    }

    #[test]
    fn a_healthy_run_forgets_what_was_before() {
        let policy = RestartPolicy::default();
        assert_eq!(deaths(&policy, 7, Duration::from_secs(9)), 8);
        assert_eq!(deaths(&policy, 7, Duration::from_secs(10)), 1);
    }

    #[test]
    fn the_policy_says_which_ends() {
        let of = |when| RestartPolicy {
            when,
            ..RestartPolicy::default()
        };
        let exit = |code| Exit {
            code,
            ..Exit::default()
        };
        for (when, code, expected) in [
            (RestartWhen::Never, Some(1), false),
            (RestartWhen::OnFailure, Some(1), true),
            (RestartWhen::OnFailure, None, true),
            (RestartWhen::OnFailure, Some(0), false),
            (RestartWhen::Always, Some(0), true),
        ] {
            assert_eq!(restarts(&of(when), &exit(code)), expected);
        }
    }
}
