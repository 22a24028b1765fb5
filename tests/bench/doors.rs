//! The doors beside what they are made of, the memory of the server at rest, and one command.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use micro_tests::{Server, ServerBuilder};

use crate::{
    load::{GrpcCaller, HttpCaller, run},
    table::{Table, median, short},
};

const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_millis(1500);
const PATH: &str = "/helloworld.Helloworld/Call";
/// `name: "Joe"`, encoded.
const MESSAGE: &[u8] = b"\x0a\x03Joe";

pub(crate) async fn measure(table: &mut Table) -> Result<()> {
    let mut server = ServerBuilder::new("local")
        .env("MICRO_LOG_LEVEL", "info")
        .start()
        .await;
    table.figure("memory: server at rest", memory(&mut server)?);
    server.login().await;
    server.run_example("helloworld").await.success();
    let node = node(&server).await?;
    let bare = Bare::start(&node)?;
    gateway(table, &server, &bare).await?;
    proxy(table, &server, &node).await?;
    command(table, &server).await?;
    table.figure("memory: server after the load", memory(&mut server)?);
    server.stop().await;
    Ok(())
}

async fn gateway(table: &mut Table, server: &Server, bare: &Bare) -> Result<()> {
    let url = |address: &str| format!("http://{address}/helloworld/call?name=Joe");
    let (ours, other) = (url(&server.api().to_string()), url(&bare.address));
    for connections in [1, 16, 64] {
        let load = async |url: &str| {
            let mut callers = Vec::new();
            for _ in 0..connections {
                callers.push(HttpCaller::connect(url, br#"{"msg":"Hello Joe"}"#).await?);
            }
            run(callers, TIME).await
        };
        let (mine, beside) =
            in_turns(async || load(&ours).await, async || load(&other).await).await?;
        let name = format!("gateway, {connections} connections, beside a bare one");
        table.ratio(name, mine, beside, "req/s");
    }
    Ok(())
}

async fn proxy(table: &mut Table, server: &Server, node: &str) -> Result<()> {
    let door = server.proxy().to_string();
    for in_flight in [1, 16, 64] {
        let load = async |address: &str| {
            let caller = GrpcCaller::connect(address, PATH, MESSAGE).await?;
            run(vec![caller; in_flight], TIME).await
        };
        let (mine, beside) =
            in_turns(async || load(&door).await, async || load(node).await).await?;
        let name = format!("proxy, {in_flight} in flight, beside a direct call");
        table.ratio(name, mine, beside, "calls/s");
    }
    Ok(())
}

/// Measures two things in turns, so that whatever else the machine does falls on both; the median
/// round of each.
async fn in_turns(
    mut ours: impl AsyncFnMut() -> Result<f64>,
    mut other: impl AsyncFnMut() -> Result<f64>,
) -> Result<(f64, f64)> {
    let (mut mine, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        mine.push(ours().await?);
        beside.push(other().await?);
    }
    Ok((median(&mut mine), median(&mut beside)))
}

async fn command(table: &mut Table, server: &Server) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..31 {
        let mut command = server.command(["helloworld", "--name=John"]);
        let start = Instant::now();
        let output = command.stderr(Stdio::inherit()).output()?;
        times.push(start.elapsed());
        ensure!(output.status.success(), "micro helloworld failed");
    }
    table.figure(
        "command: micro helloworld --name=John",
        short(median(&mut times)),
    );
    Ok(())
}

/// Where the helloworld service listens.
async fn node(server: &Server) -> Result<String> {
    let answer = server.get("/registry/getService?service=helloworld").await;
    let record = answer.json()?;
    let address = record["services"][0]["nodes"][0]["address"].as_str();
    Ok(address.context("helloworld has no node")?.to_owned())
}

/// The resident memory of the server's process.
fn memory(server: &mut Server) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process().pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .context("the kernel tells no VmRSS")?
        .parse()?;
    Ok(format!("{:.1} MiB", kib / 1024.0))
}

/// The gateway to compare with, as a process of its own; it ends with this value.
struct Bare {
    process: Child,
    address: String,
}

impl Bare {
    fn start(node: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["bare-gateway", node])
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = process.stdout.take().context("its output is a pipe")?;
        let mut address = String::new();
        BufReader::new(stdout).read_line(&mut address)?;
        Ok(Self {
            process,
            address: address.trim().to_owned(),
        })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
