//! The project's own commands: build-plugins, server, test, bench, dist, tidy.

fn main() {}
