//! End-to-end tests of the real binary, with the harness that starts real components.
