//! Rust that does little but panic and catch, through frames with values to drop.
use std::hint::black_box;
use std::panic::catch_unwind;

struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        black_box(self.0.len());
    }
}

#[inline(never)]
fn level(depth: u32, seed: u64) -> u64 {
    let guard = Guard(format!("{seed}-{depth}"));
    if depth == 0 {
        panic!("{}", guard.0);
    }
    black_box(level(depth - 1, seed)) + guard.0.len() as u64
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    for seed in 0.. {
        let _ = catch_unwind(|| black_box(level(12, seed)));
    }
}
