//! Whether the environment may be believed.

/// Whether this process may read settings from its environment. It may not where the kernel
/// raised its privileges at exec (set-user-id programs, file capabilities): whoever started it
/// would choose where files are written and secrets are sent.
pub fn environment_is_trusted() -> bool {
    !sondage_sampler::runs_with_raised_rights()
}
