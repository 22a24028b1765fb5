//! Reading a library's metadata without running any of its code, whatever the file holds.

use std::{fs::File, io, path::Path};

use micro_plugin_api::__abi::{Manifest, SECTION, TARGET};
use object::{
    Endianness, ReadCache, ReadRef,
    elf::{self, FileHeader64},
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use crate::LoadError;

/// The largest file that is taken for a plugin.
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// The largest metadata; ours has some hundred bytes.
const MOST_METADATA: u64 = 64 * 1024;

type Header = FileHeader64<Endianness>;

/// What is wrong with a file.
enum Fault {
    NotLibrary(String),
    NotPlugin(String),
    Truncated(u64),
    Machine(String),
}

/// The metadata of the library at `path`, which `plugin` names in errors.
pub(crate) fn inspect(plugin: &str, path: &Path) -> Result<Manifest, LoadError> {
    let unreadable = |source: io::Error| LoadError::Unreadable {
        plugin: plugin.to_owned(),
        path: path.to_owned(),
        source,
    };
    // Before it is opened: opening a pipe would wait for whoever writes to it.
    let facts = path.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(LoadError::NotRegular {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
        });
    }
    let size = facts.len();
    if size > MOST_BYTES {
        return Err(LoadError::TooLarge {
            plugin: plugin.to_owned(),
            path: path.to_owned(),
            size,
            limit: MOST_BYTES,
        });
    }
    let file = File::open(path).map_err(unreadable)?;
    // Reads the headers and the one section, not the file.
    read(&ReadCache::new(file), size).map_err(|fault| {
        let (plugin, path) = (plugin.to_owned(), path.to_owned());
        match fault {
            Fault::NotLibrary(reason) => LoadError::NotLibrary {
                plugin,
                path,
                reason,
            },
            Fault::NotPlugin(reason) => LoadError::NotPlugin {
                plugin,
                path,
                reason,
            },
            Fault::Truncated(expected) => LoadError::Truncated {
                plugin,
                path,
                size,
                expected,
            },
            Fault::Machine(found) => LoadError::Target { plugin, found },
        }
    })
}

fn read<'data, R: ReadRef<'data>>(data: R, size: u64) -> Result<Manifest, Fault> {
    let magic = data.read_bytes_at(0, size.min(4)).unwrap_or_default();
    if magic.is_empty() || !elf::ELFMAG.starts_with(magic) {
        return Err(Fault::NotLibrary(
            "it does not begin as an ELF file".to_owned(),
        ));
    }
    let header_size = size_of::<Header>() as u64;
    if size < header_size {
        return Err(Fault::Truncated(header_size));
    }
    let ident = data.read_bytes_at(0, 16).unwrap_or_default();
    if ident.get(4) != Some(&elf::ELFCLASS64) {
        return Err(Fault::Machine("a 32-bit machine".to_owned()));
    }
    let damaged = |error: object::Error| Fault::NotLibrary(format!("damaged: {error}"));
    let header = Header::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let machine = header.e_machine(endian);
    if header.is_little_endian() != cfg!(target_endian = "little") || machine != host_machine() {
        return Err(Fault::Machine(format!("ELF machine {machine}")));
    }
    if header.e_type(endian) != elf::ET_DYN {
        return Err(Fault::NotLibrary("it is no shared library".to_owned()));
    }
    check_length(header, endian, data, size)?;
    let sections = header.sections(endian, data).map_err(damaged)?;
    let Some((_, section)) = sections.section_by_name(endian, SECTION.as_bytes()) else {
        return Err(Fault::NotPlugin(format!("it has no section {SECTION}")));
    };
    if section.sh_size(endian) > MOST_METADATA {
        return Err(Fault::NotPlugin(format!(
            "its section {SECTION} is too large"
        )));
    }
    let text = section.data(endian, data).map_err(damaged)?;
    serde_json::from_slice(text)
        .map_err(|error| Fault::NotPlugin(format!("its section {SECTION} cannot be read: {error}")))
}

/// Whether all that the headers speak of is in the file. The system's loader does not check: it
/// maps what is missing, and the first touch of it ends the process.
fn check_length<'data, R: ReadRef<'data>>(
    header: &Header,
    endian: Endianness,
    data: R,
    size: u64,
) -> Result<(), Fault> {
    let mut expected = end(
        header.e_phoff(endian),
        u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian)),
    )?
    .max(end(
        header.e_shoff(endian),
        u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian)),
    )?);
    if expected <= size {
        let damaged = |error: object::Error| Fault::NotLibrary(format!("damaged: {error}"));
        for segment in header.program_headers(endian, data).map_err(damaged)? {
            expected = expected.max(end(segment.p_offset(endian), segment.p_filesz(endian))?);
        }
        for section in header.section_headers(endian, data).map_err(damaged)? {
            if section.sh_type(endian) != elf::SHT_NOBITS {
                expected = expected.max(end(section.sh_offset(endian), section.sh_size(endian))?);
            }
        }
    }
    if expected > size {
        return Err(Fault::Truncated(expected));
    }
    Ok(())
}

fn end(offset: u64, length: u64) -> Result<u64, Fault> {
    offset
        .checked_add(length)
        .ok_or_else(|| Fault::NotLibrary("damaged: an offset beyond any file".to_owned()))
}

fn host_machine() -> u16 {
    if TARGET.starts_with("aarch64") {
        elf::EM_AARCH64
    } else if TARGET.starts_with("riscv64") {
        elf::EM_RISCV
    } else {
        elf::EM_X86_64
    }
}
