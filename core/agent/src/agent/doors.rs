//! Through what an agent is reached from outside its process.

use super::running::Handle;
use super::spawn_own;
use crate::config::{Config, Target};
use crate::{control, pull};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// What became of the doors.
pub(super) struct Opened {
    /// Those that could not be had.
    pub(super) warnings: Vec<String>,
    /// Where others can fetch profiles.
    pub(super) listening: Vec<SocketAddr>,
}

/// The open doors. Dropping them waits for their threads.
#[derive(Debug, Default)]
pub(super) struct Doors {
    control: Option<control::Server>,
    pulls: Vec<pull::Server>,
}

impl Doors {
    /// Opens what is configured into `doors`. A door that cannot be opened is told, and is no
    /// reason not to profile.
    pub(super) fn open(doors: &Mutex<Self>, config: &Config, handle: &Handle) -> Opened {
        let mut warnings = Vec::new();
        let mut opened = Self::default();
        if config.control && sondage_sampler::runs_with_raised_rights() {
            // Who started it may be the same user without those rights.
            warnings.push("no control socket: this process runs with raised rights".to_owned());
        } else if config.control {
            match control::Server::open(handle.clone(), spawn_own) {
                Ok(server) => opened.control = Some(server),
                Err(error) => warnings.push(format!("no control socket: {error}")),
            }
        }
        for target in &config.targets {
            let Target::Pull(address) = target else { continue };
            let token = config.pull_token_file.clone();
            let asked = pull::Behind::Agent(handle.clone());
            match pull::Server::open(*address, token, asked, spawn_own) {
                Ok(server) => opened.pulls.push(server),
                Err(error) => warnings.push(format!("{target}: cannot listen: {error}")),
            }
        }
        let listening = opened.pulls.iter().map(pull::Server::address).collect();
        *doors.lock().unwrap_or_else(PoisonError::into_inner) = opened;
        Opened { warnings, listening }
    }

    /// Lets nobody in any more. Waits for nobody.
    pub(super) fn shut(&mut self) {
        if let Some(control) = &self.control {
            control.shut();
        }
        self.pulls.iter_mut().for_each(pull::Server::shut);
    }
}
