//! The live modules of a server, each behind a handle that can be swapped.
