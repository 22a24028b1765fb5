//! Compiles the example's proto for stock clients that know nothing of the framework.

use std::{env, fs, path::Path};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = "../examples/helloworld/proto";
    println!("cargo:rerun-if-changed={folder}");
    let descriptors = protox::compile(["helloworld.proto"], [folder])?;
    let out = env::var("OUT_DIR")?;
    fs::write(
        Path::new(&out).join("helloworld.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
