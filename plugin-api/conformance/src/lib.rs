//! Conformance suites: every promise of each module as a named rule, run against any implementation.
