//! HotSpot in another process.

use crate::memory::RemoteMemory;
use crate::runtime::Symbols;
use sondage::hotspot::{Announced, Facts};
use sondage::resolve::{KnownFile, Mappings};
use sondage_sampler::walk::hotspot::JavaThreads;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A virtual machine whose frames can be read.
#[derive(Debug)]
pub(crate) struct HotSpot {
    facts: Facts,
    list: JavaThreads,
    /// An address in libjvm.
    inside: u64,
    /// `JavaThread`s by the numbers of their threads.
    threads: HashMap<i32, u64>,
    looked: Option<Instant>,
}

/// The list is not read again before, for a thread that is not in it: all that while it is stopped.
const LOOK: Duration = Duration::from_millis(200);

impl HotSpot {
    /// The one that libjvm is.
    pub(crate) fn find(
        mappings: &Mappings,
        file: &KnownFile,
        memory: &RemoteMemory,
    ) -> Result<Self, String> {
        let wanted = |name: &str| name.starts_with("gHotSpot") || name == "JNI_CreateJavaVM";
        let symbols = Symbols::of(mappings, file, &wanted).ok_or("libjvm cannot be read")?;
        let symbol = |name: &str| symbols.get(name);
        let facts = Facts::read(&mut memory.clone(), &symbol).map_err(|it| it.to_string())?;
        let list = JavaThreads::find(&mut memory.clone(), &symbol).map_err(|it| it.to_string())?;
        let inside = symbols.get("JNI_CreateJavaVM").unwrap_or(0);
        Ok(Self { facts, list, inside, threads: HashMap::new(), looked: None })
    }

    /// For those who name its frames. What stubs are called, only the machine itself tells.
    pub(crate) fn announced(&self) -> Announced {
        Announced { facts: self.facts.clone(), inside: self.inside, stubs: Vec::new() }
    }

    /// Reads the list of threads again.
    pub(crate) fn refresh(&mut self, memory: &RemoteMemory) {
        let Self { facts, list, threads, looked, .. } = self;
        *looked = Some(Instant::now());
        threads.clear();
        list.each(&mut memory.clone(), facts, |number, thread| {
            threads.insert(number, thread);
        });
    }

    /// The facts, and the thread's `JavaThread`, 0 for one that runs no Java.
    pub(crate) fn of_thread(&mut self, memory: &RemoteMemory, number: i32) -> (&Facts, u64) {
        let known = self.threads.get(&number).copied();
        // Its memory may be another thread's by now.
        let is_same = |it: &u64| self.facts.thread_number(&mut memory.clone(), *it) == Some(number);
        let is_known = known.is_some_and(|it| is_same(&it));
        let is_recent = self.looked.is_some_and(|looked| looked.elapsed() < LOOK);
        if !is_known && (known.is_some() || !is_recent) {
            self.refresh(memory);
        }
        (&self.facts, self.threads.get(&number).copied().unwrap_or(0))
    }
}
