use crate::pprof::pushed;
use std::path::PathBuf;
use std::time::Duration;

/// What was uploaded to the sink that the program `tables` runs: `BENCH_SINK` is its address,
/// `BENCH_SINK_DIR` where it puts the bodies.
#[derive(Debug)]
pub struct Uploads {
    directory: PathBuf,
    seen: usize,
}

impl Uploads {
    /// The sink's address, and what it receives.
    pub fn open() -> (String, Self) {
        let variable = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is set: start me from `tables`"))
        };
        let directory = variable("BENCH_SINK_DIR").into();
        (variable("BENCH_SINK"), Self { directory, seen: 0 })
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let mut files: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "push"));
        files.sort();
        files
    }

    /// Waits for the next upload and returns its profiles.
    pub fn wait(&mut self) -> Vec<Vec<u8>> {
        while self.files().len() == self.seen {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.fresh()
    }

    /// The profiles uploaded since the last call.
    pub fn fresh(&mut self) -> Vec<Vec<u8>> {
        let files = self.files();
        let fresh = files[self.seen..].iter().map(|file| std::fs::read(file).expect("a file"));
        let profiles = fresh.flat_map(|body| pushed(&body)).collect();
        self.seen = files.len();
        profiles
    }
}
