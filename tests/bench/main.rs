//! `cargo xtask bench`: what the platform costs, beside what it is made of, in one run.
//!
//! Each row is a ratio of two things measured in turns on the same machine, or a figure that stands
//! alone. Absolute numbers of a shared machine mean little; the ratios are what is compared.

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod at_scale;
mod bare;
mod boot;
mod broker;
mod core;
mod doors;
mod load;
mod store;
mod table;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    match &args[..] {
        // A process of its own, as the gateway that it is compared with.
        [mode, upstream] if mode == "bare-gateway" => runtime.block_on(bare::serve(upstream)),
        rows => runtime.block_on(measure(rows)),
    }
}

async fn measure(rows: &[String]) -> Result<()> {
    let wanted = |name: &str| rows.is_empty() || rows.iter().any(|row| name.contains(row));
    let mut table = table::Table::default();
    if wanted("store") {
        store::measure(&mut table).await.context("store")?;
    }
    if wanted("core store events") {
        core::measure(&mut table).await.context("core services")?;
    }
    if wanted("broker") {
        broker::measure(&mut table).await.context("broker")?;
    }
    if wanted("scale: store at ten million records") {
        at_scale::measure(&mut table).await.context("at scale")?;
    }
    if wanted("boot") {
        boot::measure(&mut table).await.context("boot")?;
    }
    if wanted("gateway") || wanted("proxy") || wanted("memory") || wanted("command") {
        doors::measure(&mut table).await.context("doors")?;
    }
    println!("{table}");
    Ok(())
}
