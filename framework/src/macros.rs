//! Including what a build script generated.

/// Includes the code of a proto package, and its descriptors as `DESCRIPTORS`, as the build script
/// wrote them with `micro_build::compile`.
///
/// ```text
/// mod proto {
///     micro::include_proto!("helloworld");
/// }
/// ```
#[macro_export]
macro_rules! include_proto {
    ($package:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));

        /// The descriptor set that this code was generated from, encoded, comments included.
        pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    };
}
