//! One member of the cluster, connected when it is first needed.

use std::{fs, path::Path, time::Duration};

use etcd_client::{
    Certificate, Client, ConnectOptions, Identity, KvClient, LeaseClient, TlsOptions, WatchClient,
};
use micro_plugin_api::{Error, Result};
use tokio::sync::OnceCell;

use crate::Settings;

/// How long connecting to a member may take.
const CONNECTING: Duration = Duration::from_secs(3);

/// How long a connection may be silent before the member is asked whether it is there. etcd takes
/// offence at less than five seconds.
const SILENCE: Duration = Duration::from_secs(6);

/// How long it may take to say so, before the connection is given up.
const SIGN_OF_LIFE: Duration = Duration::from_secs(4);

/// The largest answer that is taken: the values of 64 records, each as large as etcd lets it be.
const ANSWER: usize = 128 << 20;

/// A member.
pub(super) struct Member {
    endpoint: String,
    options: ConnectOptions,
    connected: OnceCell<Clients>,
}

/// The clients of what is used of etcd, over one connection.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) kv: KvClient,
    pub(crate) lease: LeaseClient,
    pub(crate) watch: WatchClient,
    all: Client,
}

impl Member {
    /// Every member that the settings name.
    ///
    /// # Errors
    /// `invalid` for a file that cannot be read or used, saying which.
    pub(super) fn all(settings: &Settings) -> Result<Vec<Self>> {
        let options = options(settings)?;
        let members = settings.endpoints.iter().map(|endpoint| Self {
            endpoint: endpoint.clone(),
            options: match &options.tls {
                Some(tls) if endpoint.starts_with("https://") => {
                    options.connect.clone().with_tls(tls.clone())
                }
                _ => options.connect.clone(),
            },
            connected: OnceCell::new(),
        });
        Ok(members.collect())
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The clients of this member. With a user it must be there, to give the user a token.
    pub(super) async fn clients(&self) -> Result<Clients, etcd_client::Error> {
        let connect = async || {
            let endpoints = [self.endpoint.as_str()];
            let all = Client::connect(endpoints, Some(self.options.clone())).await?;
            Ok(Clients {
                kv: all.kv_client().max_decoding_message_size(ANSWER),
                lease: all.lease_client(),
                watch: all.watch_client().max_decoding_message_size(ANSWER),
                all,
            })
        };
        self.connected.get_or_try_init(connect).await.cloned()
    }

    /// Has the user given another token.
    pub(super) async fn renew_token(&self) -> Result<(), etcd_client::Error> {
        self.clients().await?.all.refresh_token().await
    }
}

struct Options {
    connect: ConnectOptions,
    tls: Option<TlsOptions>,
}

fn options(settings: &Settings) -> Result<Options> {
    let mut connect = ConnectOptions::new()
        .with_connect_timeout(CONNECTING)
        .with_keep_alive(SILENCE, SIGN_OF_LIFE)
        // Of a connection without calls etcd takes it for an attack.
        .with_keep_alive_while_idle(false)
        .with_tcp_keepalive(SILENCE)
        // A member that has lost the others says so, instead of waiting for them.
        .with_require_leader(true);
    if !settings.username.is_empty() {
        connect = connect
            .with_user(&settings.username, settings.password.reveal())
            .with_auto_token_refresh(true);
    }
    let is_tls = |endpoint: &String| endpoint.starts_with("https://");
    if !settings.endpoints.iter().any(is_tls) {
        return Ok(Options { connect, tls: None });
    }
    let mut tls = TlsOptions::new();
    tls = match &settings.ca {
        Some(path) => tls.ca_certificate(Certificate::from_pem(read("ca", path)?)),
        None => tls.with_native_roots(),
    };
    if let (Some(cert), Some(key)) = (&settings.cert, &settings.key) {
        tls = tls.identity(Identity::from_pem(read("cert", cert)?, read("key", key)?));
    }
    Ok(Options {
        connect,
        tls: Some(tls),
    })
}

fn read(setting: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        Error::invalid(format!(
            "etcd: cannot read `{setting}` = {}: {error}",
            path.display()
        ))
    })
}
