//! From the source of a run to what can be started: unpacked and built in a folder of its own.

use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use micro_builder::{Artifact, BuildOptions, LineSink};
use micro_plugin_api::{BlobHandle, Call, blob::BlobKey, runtime::InstanceKey};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    RuntimeConfig,
    plan::Plan,
    unpack::{self, Limits},
};

/// What an archive may unpack to.
const LIMITS: Limits = Limits {
    bytes: 2 * 1024 * 1024 * 1024,
    entries: 100_000,
};

/// Builds the source of `plan` in `folder`. The error is for the user; the compiler's words go to
/// `lines`.
pub(crate) async fn build(
    blobs: BlobHandle,
    call: &Call,
    config: &RuntimeConfig,
    key: &InstanceKey,
    plan: &Plan,
    folder: &Path,
    lines: &dyn LineSink,
) -> Result<Artifact, String> {
    // What an earlier attempt left there is none of this one's.
    remove(folder)
        .await
        .map_err(|error| format!("cannot empty {}: {error}", folder.display()))?;
    let top = folder.join("source");
    unpack_blob(blobs, call, &plan.source, &top).await?;
    let source = top.join(&plan.entrypoint);
    if !source.is_dir() {
        let entrypoint = plan.entrypoint.display();
        return Err(format!("the source has no folder {entrypoint}"));
    }
    let options = BuildOptions {
        name: key.name.clone(),
        identity: format!("{}/{}/{}", key.namespace, key.name, key.version),
        cache_dir: config.build_cache.clone(),
        output_dir: folder.join("bin"),
        sdk_dir: config.sdk_dir.clone(),
        toolchain: config.toolchain.clone(),
        timeout: config.build_timeout,
    };
    micro_builder::build(&source, &options, lines)
        .await
        .map_err(|error| error.to_string())
}

/// Unpacks the archive in a blob into `folder`, which is made for it.
async fn unpack_blob(
    blobs: BlobHandle,
    call: &Call,
    (namespace, key): &(String, String),
    folder: &Path,
) -> Result<(), String> {
    let read = blobs.read(call, BlobKey::new(namespace, key)).await;
    let (_, bytes) = read.map_err(|error| format!("the source cannot be read: {error}"))?;
    let archive = StreamReader::new(bytes.map_err(std::io::Error::other));
    let folder = folder.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::DirBuilderExt;
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        unpack::unpack(SyncIoBridge::new(archive), &folder, LIMITS)
            .map_err(|error| error.to_string())
    });
    unpacked
        .await
        .map_err(|error| format!("unpacking the source failed: {error}"))?
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) async fn remove(folder: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes the folders of runs below `services_dir` for which `is_kept` says no.
pub(crate) async fn sweep(services_dir: PathBuf, is_kept: impl Fn(&Path) -> bool + Send + 'static) {
    let swept = tokio::task::spawn_blocking(move || {
        // NAMESPACE/NAME/VERSION/RUN
        let mut folders = vec![services_dir];
        for _ in 0..4 {
            folders = folders
                .iter()
                .filter_map(|folder| std::fs::read_dir(folder).ok())
                .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
                .collect();
        }
        for folder in folders.iter().filter(|folder| !is_kept(folder)) {
            if let Err(error) = std::fs::remove_dir_all(folder) {
                let folder = folder.display();
                tracing::warn!(%folder, %error, "cannot remove the files of an earlier run");
            }
        }
    });
    if let Err(error) = swept.await {
        tracing::error!(%error, "removing the files of earlier runs failed");
    }
}
