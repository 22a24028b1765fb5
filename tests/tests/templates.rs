//! What `micro new --plugin` writes is what stands here: each template runs its own conformance
//! test, as it does in the folder of an author.

#[path = "../../host/cli/templates/plugin/blob.rs"]
mod blob;
#[path = "../../host/cli/templates/plugin/broker.rs"]
mod broker;
#[path = "../../host/cli/templates/plugin/registry.rs"]
mod registry;
#[path = "../../host/cli/templates/plugin/runtime.rs"]
mod runtime;
#[path = "../../host/cli/templates/plugin/store.rs"]
mod store;
#[path = "../../host/cli/templates/plugin/stream.rs"]
mod stream;
