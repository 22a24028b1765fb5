//! Where the sources of ours are that others build against: the framework, for services, and the
//! plugin contract.

use std::path::{Path, PathBuf};

/// The sources that were installed with this program, or those of the checkout that it was built
/// from; `None` if neither is there any more.
pub(crate) fn beside_the_program() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let installed = program.parent()?.parent()?.join("share/micro/sdk");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    [installed, checkout.to_owned()]
        .into_iter()
        .find(|folder| folder.join("framework/Cargo.toml").is_file())
}
