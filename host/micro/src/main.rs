//! The micro binary: the server of the platform and its command line.

fn main() {}
