//! Finding, inspecting, verifying and loading plugin libraries.
