//! The profile model: encodings, decodings, merging and reports.

mod arbitrary;
mod canonical;
mod folded;
mod go_pprof;
mod hostile;
mod merge;
mod pprof;
mod report;
mod shop;
mod speedscope;
mod view;
