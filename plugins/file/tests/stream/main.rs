//! What the file stream does with its files: recovery, damage, retention.

mod common;
mod damage;
mod loss;
mod restart;
mod retention;
