//! The profile model: encodings, decodings, merging, reports and differences.

mod arbitrary;
mod canonical;
mod diff;
mod folded;
mod go_pprof;
mod hostile;
mod merge;
mod pprof;
mod report;
mod shop;
mod speedscope;
mod view;
