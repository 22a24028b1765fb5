//! Generates the service of the tests, as any author would.

fn main() -> Result<(), micro_build::Error> {
    micro_build::compile(&["proto/kinds.proto"])
}
