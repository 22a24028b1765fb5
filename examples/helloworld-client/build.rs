//! Generates the code of this service, and of the one that it calls.

fn main() -> Result<(), micro_build::Error> {
    micro_build::compile(&["proto/client.proto", "proto/helloworld.proto"])
}
