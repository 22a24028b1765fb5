//! A private etcd.

use std::{ffi::OsString, path::Path};

use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    Certificates, Error, Program,
    backend::{Backend, starts},
    folder::Folder,
    http::ask,
    port,
    server::{Launch, Ready, Server},
    shared,
};

/// An etcd of one node.
pub type Etcd = Backend<Health>;

/// What an etcd is to be. By default it speaks plain text and lets everybody in.
#[derive(Clone, Debug, Default)]
pub struct EtcdBuilder {
    tls: bool,
    client_certificates: bool,
    root_password: Option<String>,
}

/// The ports of one server.
#[derive(Clone, Copy, Debug)]
struct Ports {
    client: u16,
    peer: u16,
    /// Plain text, whatever the client's port speaks.
    health: u16,
}

/// The port that tells whether an etcd is well.
#[derive(Debug)]
pub struct Health(u16);

impl Ready for Health {
    async fn ready(&self) -> bool {
        let answer = ask(self.0, "GET", "/health", "").await;
        answer.is_some_and(|answer| answer.status == 200)
    }
}

impl Etcd {
    /// The one of the test run: `MICRO_TEST_ETCD`, or else one that this process starts.
    ///
    /// # Panics
    /// If it cannot be started, saying why and what to install.
    pub async fn shared() -> &'static Self {
        static CELL: OnceCell<Etcd> = OnceCell::const_new();
        Self::once(&CELL, shared::ETCD, Self::builder().try_start()).await
    }

    /// One of the test's own, with nothing in it.
    ///
    /// # Panics
    /// If it cannot be started, saying why and what to install.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One of the test's own, with options.
    pub fn builder() -> EtcdBuilder {
        EtcdBuilder::default()
    }

    /// Its address: `http://127.0.0.1:PORT`, or `https://…` with TLS.
    pub fn endpoint(&self) -> &str {
        &self.address
    }
}

starts!(EtcdBuilder => Etcd);

impl EtcdBuilder {
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

    /// Clients log in: there is a user `root` with this password, who may do everything.
    #[must_use]
    pub fn root_password(mut self, password: &str) -> Self {
        self.root_password = Some(password.to_owned());
        self
    }

    async fn launch(&self) -> Result<Etcd, Error> {
        let program = Program::Etcd.find()?;
        let folder = Folder::new("etcd")?;
        let data = folder.make("data", None)?;
        let certificates = self
            .tls
            .then(|| Certificates::make(&folder, None))
            .transpose()?;
        let ports = Ports {
            client: port::free(),
            peer: port::free(),
            health: port::free(),
        };
        let health = Health(ports.health);
        let launch = Launch {
            program,
            args: self.args(ports, &data, None),
            work: data.clone(),
            user: None,
            ports: vec![ports.client, ports.peer, ports.health],
        };
        let mut server = Server::new(folder, launch);
        if let Some(password) = &self.root_password {
            // While it still lets everybody in, and in plain text.
            server.start(&health).await?;
            require_login(ports.client, password).await?;
            server.kill()?;
        }
        server.set_args(self.args(ports, &data, certificates.as_ref()));
        server.start(&health).await?;
        let scheme = if self.tls { "https" } else { "http" };
        let endpoint = format!("{scheme}://127.0.0.1:{}", ports.client);
        Ok(Etcd::own(endpoint, certificates, server, health))
    }

    fn args(&self, ports: Ports, data: &Path, tls: Option<&Certificates>) -> Vec<OsString> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let client = format!("{scheme}://127.0.0.1:{}", ports.client);
        let peer = format!("http://127.0.0.1:{}", ports.peer);
        let mut args: Vec<OsString> = Vec::new();
        let mut set = |name: &str, value: OsString| args.extend([name.into(), value]);
        set("--name", "test".into());
        set("--data-dir", data.into());
        set("--listen-client-urls", client.clone().into());
        set("--advertise-client-urls", client.into());
        set("--listen-peer-urls", peer.clone().into());
        set("--initial-advertise-peer-urls", peer.clone().into());
        set("--initial-cluster", format!("test={peer}").into());
        set(
            "--listen-metrics-urls",
            format!("http://127.0.0.1:{}", ports.health).into(),
        );
        set("--log-level", "warn".into());
        if let Some(tls) = tls {
            let (cert, key) = tls.server();
            set("--cert-file", cert.into());
            set("--key-file", key.into());
            set("--trusted-ca-file", tls.ca.clone().into());
            if self.client_certificates {
                args.push("--client-cert-auth".into());
            }
        }
        args
    }
}

/// Makes the user `root`, and lets nobody in who has not logged in.
async fn require_login(port: u16, password: &str) -> Result<(), Error> {
    let steps = [
        ("user/add", json!({"name": "root", "password": password})),
        ("role/add", json!({"name": "root"})),
        ("user/grant", json!({"user": "root", "role": "root"})),
        ("enable", json!({})),
    ];
    for (step, body) in steps {
        let path = format!("/v3/auth/{step}");
        match ask(port, "POST", &path, &body.to_string()).await {
            Some(answer) if answer.status == 200 => {}
            answer => {
                return Err(Error::Refused {
                    what: format!("{path} of etcd"),
                    answer: answer.map_or_else(|| "no answer".to_owned(), |answer| answer.body),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
