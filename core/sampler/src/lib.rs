//! Everything of Sondage that runs in a signal handler.
#![no_std]
