//! Generates the code of the service from its proto.

fn main() -> Result<(), micro_build::Error> {
    micro_build::compile(&["proto/chat.proto"])
}
