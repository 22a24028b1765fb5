//! The memory plugin: store, blob and registry that live in the server process and end with it.
