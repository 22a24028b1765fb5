//! Conformance suites: every promise of each module as a named rule, run against any implementation.
//!
//! A [`Suite`] is a list of cases. Each gets a handle of its own from a constructor that the
//! caller gives, runs under a deadline, and ends as passed, failed or skipped in a [`Report`].
//! Cases work in databases, namespaces and domains with names of their own, so a suite may run
//! against a backend that holds other data and is never emptied.
//!
//! ```no_run
//! # async fn run(open: impl AsyncFn() -> micro_plugin_api::Result<micro_plugin_api::StoreHandle>) {
//! let report = micro_plugin_conformance::store::suite().run(open).await;
//! report.assert_passed();
//! # }
//! ```

pub mod blob;
pub mod broker;
mod check;
pub mod registry;
mod report;
pub mod runtime;
pub mod store;
pub mod stream;
mod suite;
mod wait;

/// The code of the author's guide, so that it compiles, each block as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugins.md")]
struct Guide;

pub use report::{CaseReport, Outcome, Report};
pub use suite::{Case, Module, Progress, Suite};
