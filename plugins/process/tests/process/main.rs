//! The process runtime, tried with real processes.

mod common;
mod lifecycle;
mod logs;
