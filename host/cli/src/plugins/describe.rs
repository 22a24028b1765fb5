//! What a plugin says of its settings, asked in a child process: the answer is made by its code.

use std::time::Duration;

use micro_loader::Loader;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    child::{Child, Ended, File, Order, Parent},
    options,
};
use crate::error::{CliError, Result};

/// How long a plugin may take to be loaded and to describe itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// The settings of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    /// Their JSON schema.
    pub(crate) schema: Value,
}

/// Asks the plugin in a file.
///
/// # Errors
/// It is refused, cannot be loaded, or does not answer.
pub(crate) async fn describe(file: File) -> Result<Description> {
    let name = file.name.clone();
    let mut child = Child::start(&Order::Describe(file)).await?;
    match child
        .next::<std::result::Result<Description, String>>(PATIENCE)
        .await
    {
        Ok(Ok(description)) => Ok(description),
        Ok(Err(refusal)) => Err(CliError::plain(refusal)),
        Err(ended) => Err(CliError::plain(match ended {
            Ended::Gone(how) => format!("plugin {name}: did not describe its settings: {how}"),
            Ended::Silent(patience) => format!(
                "plugin {name}: did not describe its settings within {} s",
                patience.as_secs()
            ),
        })),
    }
}

/// Answers, in the child.
pub(super) async fn answer(parent: &mut Parent, file: &File) {
    let loader = Loader::new(Vec::new(), parent.folder().join("copies"));
    let options = options(&file.name, file.sha256.as_deref());
    let description = match loader.load(&file.path, &options) {
        Ok(library) => {
            let schema = library.settings_schema();
            if schema.is_object() {
                Ok(Description { schema })
            } else {
                Err(format!(
                    "plugin {}: cannot describe its settings: its code for that panicked",
                    file.name
                ))
            }
        }
        Err(refusal) => Err(refusal.to_string()),
    };
    parent.say(&description).await;
}
