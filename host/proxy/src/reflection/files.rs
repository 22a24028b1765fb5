//! Looking things up among descriptors, and answering with files and all that they need.

use std::collections::BTreeSet;

use prost_reflect::{DescriptorPool, FileDescriptor};

/// The file that defines a symbol: a service, method, message, field, enum, or extension.
pub(crate) fn defining(pool: &DescriptorPool, symbol: &str) -> Option<FileDescriptor> {
    let whole = |name: &str| {
        pool.get_service_by_name(name)
            .map(|it| it.parent_file())
            .or_else(|| pool.get_message_by_name(name).map(|it| it.parent_file()))
            .or_else(|| pool.get_enum_by_name(name).map(|it| it.parent_file()))
            .or_else(|| pool.get_extension_by_name(name).map(|it| it.parent_file()))
    };
    whole(symbol).or_else(|| {
        let (parent, member) = symbol.rsplit_once('.')?;
        let service = pool.get_service_by_name(parent);
        let message = pool.get_message_by_name(parent);
        let known = service.is_some_and(|it| it.methods().any(|method| method.name() == member))
            || message.is_some_and(|it| {
                it.get_field_by_name(member).is_some()
                    || it.oneofs().any(|oneof| oneof.name() == member)
            });
        known.then(|| whole(parent)).flatten()
    })
}

/// The file and everything that it imports, encoded, itself first. Whoever asked then need not
/// ask for an import by its name, which may mean another file in another service.
pub(crate) fn with_imports(file: &FileDescriptor) -> Vec<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let mut todo = vec![file.clone()];
    let mut encoded = Vec::new();
    while let Some(file) = todo.pop() {
        if seen.insert(file.name().to_owned()) {
            encoded.push(file.encode_to_vec());
            todo.extend(file.dependencies());
        }
    }
    encoded
}
