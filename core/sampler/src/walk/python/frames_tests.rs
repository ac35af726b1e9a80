//! The walk over hand-made frames; the self-test runs it on real ones.
