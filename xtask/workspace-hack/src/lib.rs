//! Holds no code: its dependencies unite the features of what all builds share.
