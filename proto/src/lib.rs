//! The wire messages and services of micro, generated from its .proto files, with their descriptors.
