//! The file plugin when something goes wrong: a process that is killed, a bit that flips, a disk
//! that fills. These need processes of their own, which are this program again, so it has no test
//! harness.

mod damage;
mod folder;
mod full;
mod hammer;
mod kill;

use std::{env, path::Path};

/// Says to this program that it is the other process, and which.
const ROLE: &str = "MICRO_FILE_TEST_ROLE";

/// Each case with its name.
const CASES: &[(&str, fn())] = &[
    (
        "damage::a_flipped_bit_in_a_stored_value",
        damage::stored_value,
    ),
    ("damage::a_flipped_bit_in_the_journal", damage::journal),
    ("damage::a_journal_that_ends_too_early", damage::cut_journal),
    ("damage::a_flipped_bit_in_a_blob", damage::blob),
    ("folder::a_second_owner", folder::second_owner),
    ("folder::a_newer_format", folder::newer_format),
    ("folder::somebody_elses_folder", folder::foreign),
    ("folder::what_is_kept_is_private", folder::private),
    ("full::a_write_that_fails", full::failed_write),
    ("full::a_full_disk", full::full_disk),
    ("kill::nothing_acknowledged_is_lost", kill::nothing_is_lost),
];

fn main() {
    if let Ok(role) = env::var(ROLE) {
        let folder = env::args().nth(1).expect("a folder");
        match role.as_str() {
            "hammer" => hammer::run(Path::new(&folder)),
            "hold" => folder::hold(Path::new(&folder)),
            "limited" => full::limited(Path::new(&folder)),
            "small" => full::small(Path::new(&folder)),
            role => panic!("no role {role}"),
        }
        return;
    }
    // What `cargo test` hands to every test program: names to select by, and options.
    let filters: Vec<_> = env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let chosen = CASES.iter().filter(|(name, _)| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
    });
    for (name, case) in chosen {
        eprintln!("test {name} ...");
        // A panic ends the program with a failure, and says where.
        case();
        eprintln!("test {name} ... ok");
    }
}
