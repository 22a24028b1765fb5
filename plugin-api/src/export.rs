//! `export_plugin!`: all that a plugin's crate says of itself.

/// Exports the plugin that this crate is.
///
/// ```text
/// export_plugin! {
///     name: "mystore",
///     store: MyStore::open,
///     blob: MyStore::open,
///     run = inline,
///     except = ["store.commit"],
///     exclusive = true,
///     promises = ["store.durable", "blob.durable"],
///     lacks = ["store.watch"],
/// }
/// ```
///
/// - `name` is how profiles call it; the library is found as `libmicro_NAME.so` or `libNAME.so`.
/// - Each module (`store`, `blob`, `stream`, `broker`, `registry`, `runtime`) has a constructor: a
///   function or an async function `(Settings, Host) -> Result<T>`, where `T` implements the module's trait and
///   `Settings` implements `Deserialize` (with `deny_unknown_fields`) and `JsonSchema`. Modules
///   with the same constructor are views of one value; different ones run beside each other.
/// - `run` says where calls run: `hop`, the default, on the plugin's own runtime, where they may
///   block; `inline` on the caller's thread, for code that never does. `except` names the methods
///   that run the other way.
/// - `exclusive = true` if two instances with the same settings cannot be open at once.
/// - `promises` and `lacks` declare the plugin's [`Capabilities`](crate::Capabilities): what it
///   promises that not every backend can, and which rules of its modules it does not promise. The
///   conformance suites test the one and skip the other.
/// - Version, description, licence and authors are those of the crate; `description = "…"`,
///   `license = "…"` and `authors = "…"` replace them.
///
/// It makes a `pub static PLUGIN`, which a program that links the crate can open in place of a
/// library, and may stand once in a crate.
#[macro_export]
macro_rules! export_plugin {
    (name: $name:literal, $($rest:tt)*) => {
        $crate::__export_plugin! {
            @parse [$($rest)*]
            name [$name] modules [] run [Hop] except [] exclusive [false]
            description [::core::env!("CARGO_PKG_DESCRIPTION")]
            license [::core::env!("CARGO_PKG_LICENSE")]
            authors [::core::env!("CARGO_PKG_AUTHORS")]
            promises [] lacks []
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    // A comma at the end may be missing: each rule takes the rest with or without one.
    (@parse [run = hop $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run [Hop] except $e $($more)* }
    };
    (@parse [run = inline $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run [Inline] except $e $($more)* }
    };
    (@parse [except = [$($method:literal),* $(,)?] $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except [$($method),*] $($more)* }
    };
    (@parse [exclusive = $value:literal $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt exclusive $x:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except $e exclusive [$value] $($more)* }
    };
    (@parse [description = $value:literal $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt exclusive $x:tt description $d:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except $e exclusive $x description [$value] $($more)* }
    };
    (@parse [license = $value:literal $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt exclusive $x:tt description $d:tt license $l:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except $e exclusive $x description $d license [$value] $($more)* }
    };
    (@parse [authors = $value:literal $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt exclusive $x:tt description $d:tt license $l:tt authors $a:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except $e exclusive $x description $d license $l authors [$value] $($more)* }
    };
    (@parse [promises = [$($capability:literal),* $(,)?] $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt exclusive $x:tt description $d:tt license $l:tt authors $a:tt promises $p:tt $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except $e exclusive $x description $d license $l authors $a promises [$($capability),*] $($more)* }
    };
    (@parse [lacks = [$($capability:literal),* $(,)?] $(, $($rest:tt)*)?] name $n:tt modules $m:tt run $r:tt except $e:tt exclusive $x:tt description $d:tt license $l:tt authors $a:tt promises $p:tt lacks $k:tt) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules $m run $r except $e exclusive $x description $d license $l authors $a promises $p lacks [$($capability),*] }
    };
    (@parse [store: $constructor:path $(, $($rest:tt)*)?] name $n:tt modules [$($m:tt)*] $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules [$($m)* [store $constructor]] $($more)* }
    };
    (@parse [blob: $constructor:path $(, $($rest:tt)*)?] name $n:tt modules [$($m:tt)*] $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules [$($m)* [blob $constructor]] $($more)* }
    };
    (@parse [stream: $constructor:path $(, $($rest:tt)*)?] name $n:tt modules [$($m:tt)*] $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules [$($m)* [stream $constructor]] $($more)* }
    };
    (@parse [broker: $constructor:path $(, $($rest:tt)*)?] name $n:tt modules [$($m:tt)*] $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules [$($m)* [broker $constructor]] $($more)* }
    };
    (@parse [registry: $constructor:path $(, $($rest:tt)*)?] name $n:tt modules [$($m:tt)*] $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules [$($m)* [registry $constructor]] $($more)* }
    };
    (@parse [runtime: $constructor:path $(, $($rest:tt)*)?] name $n:tt modules [$($m:tt)*] $($more:tt)*) => {
        $crate::__export_plugin! { @parse [$($($rest)*)?] name $n modules [$($m)* [runtime $constructor]] $($more)* }
    };
    (@parse [] name [$name:literal] modules [[$first:ident $first_constructor:path] $([$module:ident $constructor:path])*]
        run [$run:ident] except [$($except:literal),*] exclusive [$exclusive:expr]
        description [$description:expr] license [$license:expr] authors [$authors:expr]
        promises [$($promise:literal),*] lacks [$($lack:literal),*]
    ) => {
        /// This plugin, for programs that link it instead of loading its library.
        // The prefix keeps the symbols of two plugins apart that are linked into one program.
        #[unsafe(export_name = ::core::concat!("micro_plugin_1__", $name))]
        pub static PLUGIN: $crate::Plugin = {
            const FACTS: $crate::__abi::plugin::Facts = $crate::__abi::plugin::Facts {
                name: $name,
                version: ::core::env!("CARGO_PKG_VERSION"),
                modules: &[::core::stringify!($first), $(::core::stringify!($module)),*],
                // Asked here, in the plugin's own crate and with its profile.
                panic: if ::core::cfg!(panic = "unwind") { "unwind" } else { "abort" },
                run: $crate::__abi::RunMode::$run,
                except: &[$($except),*],
                exclusive: $exclusive,
                promises: &[$($promise),*],
                lacks: &[$($lack),*],
                description: $description,
                license: $license,
                authors: $authors,
            };
            const _: () = $crate::__abi::plugin::check_methods(FACTS.except);
            const _: () = $crate::__abi::plugin::check_capabilities(
                FACTS.modules,
                FACTS.promises,
                FACTS.lacks,
            );

            #[cfg_attr(target_os = "linux", unsafe(link_section = ".micro.plugin"))]
            #[used]
            static METADATA: [u8; $crate::__abi::plugin::json_length(&FACTS)] =
                $crate::__abi::plugin::json_write(&FACTS);

            struct Export;

            impl $crate::__abi::plugin::Exported for Export {
                const NAME: &'static str = $name;
                const MODULE: &'static str = ::core::module_path!();
                const MODULES: &'static [&'static str] = FACTS.modules;
                // This reference is also what keeps the section when the linker drops what
                // nobody uses.
                const METADATA: &'static [u8] = &METADATA;
                const RUN: $crate::__abi::RunMode = FACTS.run;
                const EXCEPT: &'static [&'static str] = FACTS.except;

                fn open(opener: &mut $crate::__abi::plugin::Opener<'_>) -> $crate::Result<()> {
                    opener.$first($first_constructor)?;
                    $(opener.$module($constructor)?;)*
                    ::core::result::Result::Ok(())
                }

                fn schema() -> $crate::__abi::plugin::Json {
                    $crate::__abi::plugin::schema_of($first_constructor)
                }
            }

            $crate::Plugin::new::<Export>()
        };
    };
    (@parse [] name $n:tt modules [] $($more:tt)*) => {
        ::core::compile_error!("export_plugin!: name at least one module, for example `store: MyStore::open`");
    };
    (@parse [$($rest:tt)*] $($more:tt)*) => {
        ::core::compile_error!(::core::concat!(
            "export_plugin!: cannot read `", ::core::stringify!($($rest)*),
            "`; it takes store|blob|stream|broker|registry|runtime: CONSTRUCTOR, run = hop|inline, except = [\"store.commit\"], ",
            "exclusive = true|false, promises = [\"store.durable\"], lacks = [\"store.watch\"], description|license|authors = \"…\""
        ));
    };
}
