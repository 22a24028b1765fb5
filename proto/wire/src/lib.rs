//! What every door and service agrees on: paths, metadata, the one error, and JSON spoken over protobuf services.
