//! The command as its users run it, on programs built here.
mod binding;
mod built;
mod doctor;
mod hostile;
mod read;
mod record;
mod scratch;
