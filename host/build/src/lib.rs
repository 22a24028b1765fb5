//! From source to a runnable artifact, one file a language.
