//! Compiles the .proto files of a service in its build script and keeps their descriptors.
