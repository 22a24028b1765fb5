//! A `protoc` of Rust alone: what the build scripts of dependencies ask of one, and no more.
//!
//! `xtask/protoc/protoc` builds and runs it where no real protoc is installed.

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use protox::Compiler;

/// What `prost-build` says on the command line of protoc.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arguments {
    includes: Vec<PathBuf>,
    protos: Vec<PathBuf>,
    output: PathBuf,
    imports: bool,
    source_info: bool,
}

impl Arguments {
    fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--include_imports" => parsed.imports = true,
                "--include_source_info" => parsed.source_info = true,
                "-I" | "-o" => {
                    let path = arguments.next();
                    let path = path.with_context(|| format!("{argument} needs a path"))?;
                    match argument.as_str() {
                        "-I" => parsed.includes.push(path.into()),
                        _ => parsed.output = path.into(),
                    }
                }
                unknown if unknown.starts_with('-') => bail!(
                    "the built-in protoc does not know {unknown}; install protobuf-compiler, or \
                     set PROTOC to a real protoc"
                ),
                proto => parsed.protos.push(proto.into()),
            }
        }
        if parsed.protos.is_empty() || parsed.output.as_os_str().is_empty() {
            bail!("usage: micro-protoc [-I FOLDER]... -o OUTPUT FILE.proto...");
        }
        Ok(parsed)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse(env::args().skip(1))?;
    let mut compiler = Compiler::new(&arguments.includes)?;
    compiler
        .include_imports(arguments.imports)
        .include_source_info(arguments.source_info);
    for proto in &arguments.protos {
        compiler.open_file(proto)?;
    }
    fs::write(&arguments.output, compiler.encode_file_descriptor_set())
        .with_context(|| format!("cannot write {}", arguments.output.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_line_of_a_build_script_is_understood() {
        let line =
            "--include_imports --include_source_info -o out.bin -I proto -I more a.proto b.proto";
        let wanted = Arguments {
            includes: vec!["proto".into(), "more".into()],
            protos: vec!["a.proto".into(), "b.proto".into()],
            output: "out.bin".into(),
            imports: true,
            source_info: true,
        };
        assert_eq!(parse(line).expect("a line"), wanted);
    }

    #[test]
    fn what_it_cannot_do_it_says() {
        let error = parse("--python_out=x -o out a.proto").expect_err("unknown");
        assert!(error.to_string().contains("protobuf-compiler"), "{error}");
        for line in ["-o", "-o out", "a.proto"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
