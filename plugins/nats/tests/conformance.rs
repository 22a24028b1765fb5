//! The conformance suites against the NATS modules, in this program, on a real nats-server.

use std::time::Duration;

use micro_nats::{NatsBroker, NatsStream, PLUGIN, Settings, Urls};
use micro_plugin_api::{BrokerHandle, Host, StreamHandle};
use micro_plugin_conformance::{broker, stream};
use micro_test_backends::{Nats, unique};

/// Every message here takes a way through a server that the machine may be slow to run.
const DEADLINE: Duration = Duration::from_secs(240);

async fn settings() -> Settings {
    let url = Nats::shared().await.url().to_owned();
    Settings {
        url: Urls::One(url),
        prefix: unique("suite"),
        max_bytes: 64 << 20,
        ..Settings::default()
    }
}

fn host() -> Host {
    Host::new("nats", "/nonexistent", "/nonexistent")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broker_passes() {
    let settings = settings().await;
    let open = async || {
        let broker = NatsBroker::open(settings.clone(), host()).await;
        broker.map(BrokerHandle::new)
    };
    let suite = broker::suite()
        .of(&PLUGIN.capabilities())
        .with_deadline(DEADLINE);
    suite.run(open).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_passes() {
    let settings = settings().await;
    let open = async || {
        let stream = NatsStream::open(settings.clone(), host()).await;
        stream.map(StreamHandle::new)
    };
    let suite = stream::suite()
        .of(&PLUGIN.capabilities())
        .with_deadline(DEADLINE);
    suite.run(open).await.assert_passed();
}
