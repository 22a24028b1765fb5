//! Boot, serve, drain: puts a server together from a resolved profile.
