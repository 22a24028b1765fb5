//! Compiles the .proto files of a service in its build script and keeps their descriptors.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), micro_build::Error> {
//!     micro_build::compile(&["proto/helloworld.proto"])
//! }
//! ```
//!
//! and in the service `micro::include_proto!("helloworld");`, with the package's name. No protoc is
//! needed, and no crate beside `micro-framework`: the generated code finds tonic and prost in it.

mod generator;

use std::{
    collections::BTreeSet,
    env, fs, io,
    path::{Path, PathBuf},
};

use prost::Message as _;

/// Why protos could not be compiled. Its `Debug` is the message, since that is what cargo prints
/// when a build script returns it.
#[derive(thiserror::Error)]
pub enum Error {
    /// A file is missing or does not parse; the text names file, line and column.
    #[error("{0}")]
    Proto(String),
    /// The generated files cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Called outside of a build script.
    #[error("OUT_DIR is not set: call this from a build script (build.rs)")]
    NotABuildScript,
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Compiles the files, each with the folder that it lies in as a place to find imports.
///
/// # Errors
/// See [`Error`].
pub fn compile<P: AsRef<Path>>(protos: &[P]) -> Result<(), Error> {
    let folders: BTreeSet<&Path> = protos
        .iter()
        .filter_map(|proto| proto.as_ref().parent())
        .collect();
    let folders: Vec<&Path> = folders
        .into_iter()
        .map(|folder| {
            if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            }
        })
        .collect();
    compile_with_includes(protos, &folders)
}

/// Compiles the files, with these folders to find imports in.
///
/// # Errors
/// See [`Error`].
pub fn compile_with_includes<P: AsRef<Path>, I: AsRef<Path>>(
    protos: &[P],
    includes: &[I],
) -> Result<(), Error> {
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or(Error::NotABuildScript)?;
    for file in compile_into(&out, protos, includes)? {
        // To cargo, which reads a build script's standard output.
        #[expect(
            clippy::print_stdout,
            reason = "this is how a build script talks to cargo"
        )]
        {
            println!("cargo:rerun-if-changed={}", file.display());
        }
    }
    Ok(())
}

/// Generates into `out`, and returns the files that the result depends on.
fn compile_into<P: AsRef<Path>, I: AsRef<Path>>(
    out: &Path,
    protos: &[P],
    includes: &[I],
) -> Result<Vec<PathBuf>, Error> {
    let bad = |error: protox::Error| Error::Proto(format!("{error:?}"));
    let mut compiler = protox::Compiler::new(includes).map_err(bad)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(protos).map_err(bad)?;
    let descriptors = compiler.file_descriptor_set();
    let files = compiler
        .files()
        .filter_map(|file| file.path().map(Path::to_owned))
        .collect();

    let path = out.join("descriptors.bin");
    fs::write(&path, descriptors.encode_to_vec())
        .map_err(|source| Error::Write { path, source })?;
    prost_build::Config::new()
        // By its full name a message is found among the descriptors.
        .enable_type_names()
        .out_dir(out)
        .prost_path("::micro::prost")
        .prost_types_path("::micro::prost_types")
        .service_generator(Box::new(generator::Generator::new()))
        .compile_fds(descriptors)
        .map_err(|source| Error::Write {
            path: out.to_owned(),
            source,
        })?;
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "syntax = \"proto3\"; package hello; import \"other.proto\";\n\
        // Greets.\nservice Hello {\n  rpc Call(other.Name) returns (other.Name);\n\
        rpc Stream(other.Name) returns (stream other.Name); }";
    const OTHER: &str = "syntax = \"proto3\"; package other;\n\
        import \"google/protobuf/timestamp.proto\";\n\
        message Name { string name = 1; google.protobuf.Timestamp at = 2; }";

    #[test]
    fn generates_code_that_needs_the_framework_alone() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let hello = write("hello.proto", HELLO);
        let other = write("other.proto", OTHER);
        let out = tempfile::tempdir().unwrap();
        let files = compile_into(out.path(), &[&hello], &[folder.path()]).unwrap();
        assert!(
            files.contains(&hello) && files.contains(&other),
            "{files:?}"
        );

        let code = fs::read_to_string(out.path().join("hello.rs")).unwrap();
        for (what, times) in [
            ("use ::micro::tonic::codegen::*;", 2),
            ("::micro::tonic_prost::ProstCodec", 4),
            ("max_decoding_message_size: Some(::micro::MAX_MESSAGE)", 1),
            ("::micro::client::unary(req)", 1),
            ("struct HelloServer", 1),
            ("struct HelloClient", 1),
        ] {
            assert_eq!(code.matches(what).count(), times, "{what} in\n{code}");
        }
        assert!(!code.contains(" tonic::"), "{code}");
        let messages = fs::read_to_string(out.path().join("other.rs")).unwrap();
        assert!(
            messages.contains("::micro::prost_types::Timestamp"),
            "{messages}"
        );

        let set = fs::read(out.path().join("descriptors.bin")).unwrap();
        let set = prost_types::FileDescriptorSet::decode(set.as_slice()).unwrap();
        assert_eq!(set.file.len(), 3);
        assert!(set.file.iter().any(|file| file.name() == "hello.proto"
            && file.source_code_info.as_ref().is_some_and(|info| {
                info.location
                    .iter()
                    .any(|l| l.leading_comments() == " Greets.\n")
            })));
    }

    #[test]
    fn errors_say_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.proto");
        fs::write(
            &path,
            "syntax = \"proto3\";\nmessage A { nosuch.Type a = 1; }",
        )
        .unwrap();
        let error = compile_into(folder.path(), &[&path], &[folder.path()]).unwrap_err();
        assert!(error.to_string().contains("bad.proto"), "{error}");
        let missing = folder.path().join("missing.proto");
        let error = compile_into(folder.path(), &[&missing], &[folder.path()]).unwrap_err();
        assert!(error.to_string().contains("missing.proto"), "{error:?}");
    }
}
