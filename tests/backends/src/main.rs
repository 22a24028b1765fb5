//! Starts one server of each kind for a whole test run, tells their addresses, and keeps them until
//! its standard input ends.

#![allow(
    clippy::print_stdout,
    reason = "what it prints is how it tells its owner"
)]

use std::{io::Write as _, process::ExitCode};

use micro_test_backends::{Etcd, Nats, Postgres, Program, install_line};
use tokio::io::AsyncReadExt as _;

/// With the argument `missing`: prints the packages that are not there, one a line. Without: prints
/// `VARIABLE=ADDRESS` for each server once all serve, and stays.
#[tokio::main]
async fn main() -> ExitCode {
    let missing: Vec<Program> = Program::ALL
        .into_iter()
        .filter(|program| program.find().is_err())
        .collect();
    if std::env::args().nth(1).as_deref() == Some("missing") {
        for program in missing {
            println!("{}", program.package());
        }
        return ExitCode::SUCCESS;
    }
    if !missing.is_empty() {
        eprintln!("error: servers are missing; {}", install_line(&missing));
        return ExitCode::FAILURE;
    }
    let started = tokio::try_join!(
        Etcd::builder().try_start(),
        Nats::builder().try_start(),
        Postgres::builder().try_start(),
    );
    match started {
        Ok((etcd, nats, postgres)) => {
            let postgres_url = postgres.url("");
            println!("MICRO_TEST_ETCD={}", etcd.endpoint());
            println!("MICRO_TEST_NATS={}", nats.url());
            println!("MICRO_TEST_POSTGRES={}", postgres_url.trim_end_matches('/'));
            println!("ready");
            if std::io::stdout().flush().is_err() {
                return ExitCode::FAILURE;
            }
            // The owner writes nothing: this ends when it does.
            let mut nothing = Vec::new();
            let _ = tokio::io::stdin().read_to_end(&mut nothing).await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
