//! The process plugin: a runtime that runs services as local processes.
