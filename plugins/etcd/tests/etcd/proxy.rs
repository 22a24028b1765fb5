//! A network that fails on demand: between a module and an etcd that others can still reach.

use std::net::SocketAddr;

use tokio::{
    io::copy,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Everything.
    Open,
    /// What is asked, and no answers.
    Mute,
    /// Nothing: what there was is closed, and new connections are closed at once.
    Cut,
}

/// A forwarder to one address.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
}

impl Proxy {
    /// A proxy of an endpoint, open.
    pub(crate) async fn start(endpoint: &str) -> Self {
        let to = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (line, state) = watch::channel(Line::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *state.borrow() != Line::Cut {
                    tokio::spawn(forward(client, to.clone(), state.clone()));
                }
            }
        });
        Self { address, line }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn forward(mut client: TcpStream, to: String, line: watch::Receiver<Line>) {
    let Ok(mut server) = TcpStream::connect(to).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut cut = line.clone();
    let answers = async {
        let mut line = line.clone();
        let mut buffer = [0; 16 << 10];
        loop {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let Ok(count @ 1..) = from_server.read(&mut buffer).await else {
                return;
            };
            let heard = line.wait_for(|line| *line == Line::Open).await.is_ok();
            if !heard || to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {}
        () = answers => {}
        _ = cut.wait_for(|line| *line == Line::Cut) => {}
    }
}
