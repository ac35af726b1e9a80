//! Other processes, read from outside: their memory, their modules, and the stacks of their
//! threads, which are stopped for the moment of a sample.
#![deny(unsafe_code)]
