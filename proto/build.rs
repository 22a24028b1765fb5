//! Compiles the .proto files without a system protoc and keeps their descriptors.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PACKAGES: [&str; 13] = [
    "api", "auth", "broker", "config", "debug", "errors", "events", "network", "profile",
    "registry", "router", "runtime", "store",
];

fn main() -> Result<(), Box<dyn Error>> {
    let sources = PACKAGES.map(|package| format!("{package}.proto"));
    for source in &sources {
        println!("cargo:rerun-if-changed={source}");
    }
    let descriptors = protox::Compiler::new(["."])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(&sources)?
        .file_descriptor_set();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        // Its `connect` helper collides with the method Network.Connect; callers bring a channel.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
