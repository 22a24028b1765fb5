//! The contract between the micro server and its plugins: traits, types and the stable ABI beneath them.
