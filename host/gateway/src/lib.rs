//! The HTTP/JSON door: paths, queries and bodies in, calls through, JSON out.
