//! Profile manifests: search path, extends, variables, validation.
