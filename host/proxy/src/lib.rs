//! The gRPC doors: calls pass through undecoded, with reflection and health of everything callable.
