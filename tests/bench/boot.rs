//! How long a server takes from its start to a successful login.

use std::time::{Duration, Instant};

use anyhow::Result;
use micro_tests::{ServerBuilder, grpc::Connection};

use crate::table::{Table, median, short};

const ROUNDS: usize = 7;

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let mut ready = Vec::new();
    let mut login = Vec::new();
    for _ in 0..ROUNDS {
        let builder = ServerBuilder::new("local").env("MICRO_LOG_LEVEL", "info");
        let start = Instant::now();
        let mut server = builder.serve().await;
        ready.push(start.elapsed());
        let connection = Connection::open(&server.proxy().to_string()).await?;
        connection.login(0).await?;
        login.push(start.elapsed());
        server.stop().await;
    }
    // The harness looks for the addresses every 10 ms.
    let slack = Duration::from_millis(10);
    table.figure(
        "boot: start to serving",
        format!("{} (± {})", short(median(&mut ready)), short(slack)),
    );
    table.figure("boot: start to a login", short(median(&mut login)));
    Ok(())
}
