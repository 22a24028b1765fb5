//! A private nats-server, with JetStream unless a test wants it without.

use std::fmt::Write as _;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    sync::OnceCell,
    time::timeout,
};

use crate::{
    Certificates, Error, Program,
    backend::{Backend, starts},
    folder::Folder,
    port,
    server::{Launch, Ready, Server},
    shared,
    wait::PATIENCE,
};

/// A nats-server.
pub type Nats = Backend<Greeting>;

/// What a nats-server is to be. By default it has JetStream, speaks plain text and lets everybody
/// in.
#[derive(Clone, Debug)]
pub struct NatsBuilder {
    jetstream: bool,
    tls: bool,
    client_certificates: bool,
    config: String,
}

/// The port where a nats-server greets its clients.
#[derive(Debug)]
pub struct Greeting(u16);

impl Ready for Greeting {
    async fn ready(&self) -> bool {
        let greeting = async {
            let stream = TcpStream::connect(("127.0.0.1", self.0)).await.ok()?;
            let mut line = String::new();
            let mut reader = BufReader::new(stream);
            reader.read_line(&mut line).await.ok()?;
            Some(line)
        };
        let line = timeout(PATIENCE, greeting).await.ok().flatten();
        line.is_some_and(|line| line.starts_with("INFO "))
    }
}

impl Nats {
    /// The one of the test run, with JetStream: `MICRO_TEST_NATS`, or else one that this process
    /// starts.
    ///
    /// # Panics
    /// If it cannot be started, saying why and what to install.
    pub async fn shared() -> &'static Self {
        static CELL: OnceCell<Nats> = OnceCell::const_new();
        Self::once(&CELL, shared::NATS, Self::builder().try_start()).await
    }

    /// One of the test's own, with JetStream and nothing in it.
    ///
    /// # Panics
    /// If it cannot be started, saying why and what to install.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One of the test's own, with options.
    pub fn builder() -> NatsBuilder {
        NatsBuilder {
            jetstream: true,
            tls: false,
            client_certificates: false,
            config: String::new(),
        }
    }

    /// Its address: `nats://127.0.0.1:PORT`, or `tls://…` with TLS.
    pub fn url(&self) -> &str {
        &self.address
    }
}

starts!(NatsBuilder => Nats);

impl NatsBuilder {
    /// Leaves JetStream out.
    #[must_use]
    pub fn without_jetstream(mut self) -> Self {
        self.jetstream = false;
        self
    }

    /// Clients come by TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Clients come by TLS, and show a certificate.
    #[must_use]
    pub fn client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self.tls()
    }

    /// Clients log in by user and password.
    #[must_use]
    pub fn password(self, user: &str, password: &str) -> Self {
        self.config(&format!(
            "authorization {{ user: \"{user}\", password: \"{password}\" }}"
        ))
    }

    /// Clients log in by a token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.config(&format!("authorization {{ token: \"{token}\" }}"))
    }

    /// Adds lines to its configuration file: operators and accounts, limits, ….
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self.config.push('\n');
        self
    }

    async fn launch(&self) -> Result<Nats, Error> {
        let program = Program::Nats.find()?;
        let folder = Folder::new("nats")?;
        let data = folder.make("data", None)?;
        let certificates = self
            .tls
            .then(|| Certificates::make(&folder, None))
            .transpose()?;
        let port = port::free();
        let mut config = format!("listen: \"127.0.0.1:{port}\"\n{}", self.config);
        if self.jetstream {
            let _ = writeln!(config, "jetstream {{ store_dir: {data:?} }}");
        }
        if let Some(tls) = &certificates {
            let (cert, key) = tls.server();
            let (ca, verify) = (&tls.ca, self.client_certificates);
            let _ = writeln!(
                config,
                "tls {{ cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, verify: {verify} }}"
            );
        }
        // In a file, since a command line can be read by everybody.
        let config = folder.write("nats.conf", &config, None)?;
        let launch = Launch {
            program,
            args: vec!["--config".into(), config.into()],
            work: data,
            user: None,
            ports: vec![port],
        };
        let greeting = Greeting(port);
        let mut server = Server::new(folder, launch);
        server.start(&greeting).await?;
        let scheme = if self.tls { "tls" } else { "nats" };
        let url = format!("{scheme}://127.0.0.1:{port}");
        Ok(Nats::own(url, certificates, server, greeting))
    }
}

#[cfg(test)]
mod tests;
