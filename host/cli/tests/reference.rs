//! The page on environment variables is written from the table that the program reads them by.

use std::{env, fs, path::Path};

#[test]
fn the_page_on_variables_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/environment.md");
    let expected = format!(
        "# Environment variables\n\n\
         What the `micro` binary reads; a flag, where there is one, wins over its variable. This \
         page is written from the program's own table: `UPDATE_DOCS=1 cargo test -p micro-cli \
         --test reference`.\n\n{}",
        micro_cli::env::reference()
    );
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    let found = fs::read_to_string(&page).unwrap_or_default();
    assert!(
        found == expected,
        "docs/environment.md is out of date: \
         UPDATE_DOCS=1 cargo test -p micro-cli --test reference"
    );
}
