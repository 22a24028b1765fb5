//! The core services of the platform, each written over modules.
