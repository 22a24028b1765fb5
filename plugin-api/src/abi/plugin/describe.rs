//! What a library exports: one static, from which the host finds everything else; and the
//! metadata that it can read without running any code.

use abi_stable::{
    library::{CheckTypeLayout, LibHeader, RootModuleResult},
    marker_type::ErasedPrefix,
    prefix_type::{PrefixRefTrait, PrefixTypeTrait},
    std_types::{RNone, ROk, ROption, RSome, RStr, RString},
};
use serde_json::Value;

use super::{blob, broker, documents, events, open, store};
use crate::{
    Result,
    abi::{
        guard,
        manifest::{API_VERSION, RunMode, TARGET},
        tables::{
            self, BlobTable, BrokerTable, Interface, InterfaceRecord, PluginTable, Root, RootRef,
            StoreTable, StoreWatchTable, StreamTable,
        },
    },
};

/// What `export_plugin!` says of a plugin at build time.
pub struct Facts {
    pub name: &'static str,
    pub version: &'static str,
    pub modules: &'static [&'static str],
    pub panic: &'static str,
    pub run: RunMode,
    /// The methods that run the other way.
    pub except: &'static [&'static str],
    pub exclusive: bool,
    /// As [`crate::Capabilities::promises`].
    pub promises: &'static [&'static str],
    /// As [`crate::Capabilities::lacks`].
    pub lacks: &'static [&'static str],
    pub description: &'static str,
    pub license: &'static str,
    pub authors: &'static str,
}

/// What `export_plugin!` implements.
pub trait Exported: 'static {
    const NAME: &'static str;
    /// Where it was written: a path in the plugin's own crate.
    const MODULE: &'static str;
    const MODULES: &'static [&'static str];
    const METADATA: &'static [u8];
    const RUN: RunMode;
    /// The methods that run the other way.
    const EXCEPT: &'static [&'static str];

    fn open(opener: &mut open::Opener<'_>) -> Result<()>;
    fn schema() -> Value;
}

/// A plugin: what a library exports, and what a program that links the plugin opens in its place.
#[repr(transparent)]
pub struct Plugin(LibHeader);

impl Plugin {
    /// The plugin that `E` describes.
    #[doc(hidden)]
    pub const fn new<E: Exported>() -> Self {
        // SAFETY: `construct` returns the erased prefix of a `RootRef`.
        Self(unsafe {
            LibHeader::from_constructor::<RootRef>(construct::<E>, CheckTypeLayout::Yes)
        })
    }

    pub(crate) fn header(&'static self) -> &'static LibHeader {
        &self.0
    }
}

extern "C" fn construct<E: Exported>() -> RootModuleResult {
    let root: RootRef = Root {
        metadata: metadata::<E>,
        query: query::<E>,
    }
    .leak_into_prefix();
    // SAFETY: this only forgets the type; `LibHeader` gives it back after the layout check.
    ROk(unsafe { root.to_prefix_ref().cast::<ErasedPrefix>() })
}

extern "C" fn metadata<E: Exported>() -> RString {
    let text = String::from_utf8_lossy(E::METADATA);
    // The schema is an author's code (an `impl JsonSchema`) and may panic.
    guard::contain(|| {
        let mut document: Value = serde_json::from_str(&text).unwrap_or_default();
        document["settings"] = E::schema();
        document.to_string()
    })
    .unwrap_or_else(|_| text.into_owned())
    .into()
}

extern "C" fn query<E: Exported>(name: RStr<'_>) -> ROption<InterfaceRecord> {
    let name = name.as_str();
    if name == PluginTable::NAME {
        return RSome(InterfaceRecord::new(
            const {
                &PluginTable {
                    open: open::open::<E>,
                }
            },
        ));
    }
    let module = name
        .strip_prefix("micro.")
        .and_then(|name| name.strip_suffix("/1"))
        // What grew later is `micro.MODULE.WHAT/1`.
        .map(|name| name.split_once('.').map_or(name, |(module, _)| module));
    if !module.is_some_and(|module| E::MODULES.contains(&module)) {
        return RNone;
    }
    match name {
        StoreTable::NAME => RSome(InterfaceRecord::new(&store::TABLE)),
        StoreWatchTable::NAME => RSome(InterfaceRecord::new(&store::WATCH)),
        BlobTable::NAME => RSome(InterfaceRecord::new(&blob::TABLE)),
        StreamTable::NAME => RSome(InterfaceRecord::new(&events::TABLE)),
        BrokerTable::NAME => RSome(InterfaceRecord::new(&broker::TABLE)),
        tables::REGISTRY => RSome(InterfaceRecord::new(&documents::REGISTRY)),
        tables::RUNTIME => RSome(InterfaceRecord::new(&documents::RUNTIME)),
        _ => RNone,
    }
}

/// Whether two texts are equal, at build time.
pub(super) const fn equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

/// How long the JSON text of `facts` is.
pub const fn json_length(facts: &Facts) -> usize {
    let mut writer = Writer {
        buffer: &mut [],
        length: 0,
    };
    writer.facts(facts);
    writer.length
}

/// The JSON text of `facts`, of exactly [`json_length`] bytes.
pub const fn json_write<const LENGTH: usize>(facts: &Facts) -> [u8; LENGTH] {
    let mut buffer = [0; LENGTH];
    let mut writer = Writer {
        buffer: &mut buffer,
        length: 0,
    };
    writer.facts(facts);
    buffer
}

/// Writes JSON at build time; beyond the end of its buffer it only counts.
struct Writer<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    const fn facts(&mut self, facts: &Facts) {
        self.raw("{\"name\":");
        self.text(facts.name);
        self.raw(",\"version\":");
        self.text(facts.version);
        self.raw(",\"api\":");
        self.text(API_VERSION);
        self.raw(",\"modules\":");
        self.texts(facts.modules);
        self.raw(",\"interfaces\":[\"micro.plugin/1\"");
        let mut at = 0;
        while at < facts.modules.len() {
            self.raw(",\"micro.");
            self.raw(facts.modules[at]);
            self.raw("/1\"");
            if equal(facts.modules[at], "store") {
                self.raw(",\"micro.store.watch/1\"");
            }
            at += 1;
        }
        self.raw("],\"target\":");
        self.text(TARGET);
        self.raw(",\"rustc\":");
        self.text(env!("MICRO_PLUGIN_RUSTC"));
        self.raw(",\"panic\":");
        self.text(facts.panic);
        self.raw(match facts.run {
            RunMode::Hop => ",\"run\":\"hop\"",
            RunMode::Inline => ",\"run\":\"inline\"",
        });
        self.raw(",\"except\":");
        self.texts(facts.except);
        self.raw(if facts.exclusive {
            ",\"exclusive\":true"
        } else {
            ",\"exclusive\":false"
        });
        self.raw(",\"capabilities\":{\"promises\":");
        self.texts(facts.promises);
        self.raw(",\"lacks\":");
        self.texts(facts.lacks);
        self.raw("},\"description\":");
        self.text(facts.description);
        self.raw(",\"license\":");
        self.text(facts.license);
        self.raw(",\"authors\":");
        self.text(facts.authors);
        self.raw("}");
    }

    const fn byte(&mut self, byte: u8) {
        if self.length < self.buffer.len() {
            self.buffer[self.length] = byte;
        }
        self.length += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    const fn texts(&mut self, texts: &[&str]) {
        self.raw("[");
        let mut at = 0;
        while at < texts.len() {
            if at > 0 {
                self.raw(",");
            }
            self.text(texts[at]);
            at += 1;
        }
        self.raw("]");
    }

    const fn text(&mut self, text: &str) {
        self.byte(b'"');
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            match bytes[at] {
                byte @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(byte);
                }
                byte @ 0..0x20 => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.raw("\\u00");
                    self.byte(HEX[(byte >> 4) as usize]);
                    self.byte(HEX[(byte & 15) as usize]);
                }
                byte => self.byte(byte),
            }
            at += 1;
        }
        self.byte(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::Manifest;

    #[test]
    fn the_metadata_is_json_whatever_the_texts_hold() {
        const FACTS: Facts = Facts {
            name: "odd",
            version: "1.2.3",
            modules: &["store", "blob"],
            panic: "unwind",
            run: RunMode::Inline,
            except: &["store.list"],
            exclusive: true,
            promises: &["store.durable", "blob.durable"],
            lacks: &[],
            description: "says \"hé\\llo\"\n\u{1}",
            license: "MIT",
            authors: "A:B",
        };
        const TEXT: [u8; json_length(&FACTS)] = json_write(&FACTS);
        let manifest: Manifest = serde_json::from_slice(&TEXT).unwrap();
        assert_eq!(manifest.description, FACTS.description);
        assert_eq!(manifest.modules, FACTS.modules);
        assert_eq!(
            manifest.interfaces,
            [
                "micro.plugin/1",
                "micro.store/1",
                "micro.store.watch/1",
                "micro.blob/1"
            ]
        );
        assert_eq!(manifest.run, RunMode::Inline);
        assert_eq!(manifest.except, ["store.list"]);
        assert!(manifest.exclusive);
        assert_eq!(manifest.capabilities.promises, FACTS.promises);
        assert!(manifest.capabilities.lacks.is_empty());
        assert!(manifest.rustc.starts_with("1."));
        assert!(manifest.target.contains('-'));
    }
}
