//! Plays what a Go service of Micro v3 says while it starts, lives and stops, byte for byte in its
//! own spelling: metadata, content types, and the order of calls.

use anyhow::Result;
use micro_proto::{auth, registry, runtime, store};
use micro_tests::{Server, grpc::Connection, profile};

/// What every call of a Go service carries beside its credentials.
const METADATA: [(&str, &str); 5] = [
    ("micro-namespace", "micro"),
    ("timeout", "10000000000"),
    ("grpc-timeout", "9999m"),
    ("x-content-type", "application/grpc+proto"),
    ("micro-trace-id", "a4f3b1c8-9b7e-4c68-8a53-0a8f7c0d1f9e"),
];

struct GoService {
    connection: Connection,
    token: String,
}

impl GoService {
    /// Logs in with an account of type service, as the runtime would have given it.
    async fn start(server: &Server, name: &str) -> Result<Self> {
        let connection = Connection::open(&server.network().to_string()).await?;
        let admin = token(&connection, "admin", "micro").await?;
        let generated: auth::GenerateResponse = connection
            .call(
                "/auth.Auth/Generate",
                &with(&admin),
                &[auth::GenerateRequest {
                    id: format!("{name}-latest"),
                    r#type: "service".into(),
                    scopes: vec!["service".into()],
                    options: namespace(),
                    ..Default::default()
                }],
            )
            .await?
            .single()?;
        let account = generated.account.expect("the answer names the account");
        let token = token(&connection, &account.id, &account.secret).await?;
        Ok(Self { connection, token })
    }

    async fn call<M: prost::Message, R: prost::Message + Default>(
        &self,
        path: &str,
        message: M,
    ) -> Result<R> {
        self.connection
            .call(path, &with(&self.token), &[message])
            .await?
            .single()
    }

    async fn nodes(&self, name: &str) -> Result<Vec<registry::Node>> {
        let request = registry::GetRequest {
            service: name.into(),
            options: Some(registry::Options {
                ttl: 0,
                domain: "micro".into(),
            }),
        };
        let found: registry::GetResponse =
            self.call("/registry.Registry/GetService", request).await?;
        Ok(found.services.into_iter().flat_map(|s| s.nodes).collect())
    }
}

fn namespace() -> Option<auth::Options> {
    Some(auth::Options {
        namespace: "micro".into(),
    })
}

fn with(token: &str) -> Vec<(&'static str, &str)> {
    let mut metadata = METADATA.to_vec();
    // The whole header value lives as long as the test needs it.
    metadata.push(("authorization", token));
    metadata
}

async fn token(connection: &Connection, id: &str, secret: &str) -> Result<String> {
    let answer: auth::TokenResponse = connection
        .call(
            "/auth.Auth/Token",
            &METADATA,
            &[auth::TokenRequest {
                id: id.into(),
                secret: secret.into(),
                token_expiry: 600,
                options: namespace(),
                ..Default::default()
            }],
        )
        .await?
        .single()?;
    let token = answer.token.expect("the answer holds a token");
    assert!(token.expiry >= token.created + 590, "{token:?}");
    Ok(format!("Bearer {}", token.access_token))
}

fn record(nodes: &[(&str, &str)], ttl: i64) -> registry::Service {
    let node_metadata = [
        ("broker", "service"),
        ("registry", "service"),
        ("server", "grpc"),
        ("transport", "grpc"),
        ("protocol", "grpc"),
    ];
    registry::Service {
        name: "acid".into(),
        version: "latest".into(),
        endpoints: vec![
            registry::Endpoint {
                name: "Acid.Call".into(),
                request: Some(registry::Value {
                    name: "Request".into(),
                    r#type: "Request".into(),
                    values: vec![registry::Value {
                        name: "name".into(),
                        r#type: "string".into(),
                        values: vec![],
                    }],
                }),
                response: None,
                metadata: Default::default(),
            },
            registry::Endpoint {
                name: "Acid.Stream".into(),
                request: Some(registry::Value {
                    name: "Context".into(),
                    r#type: "Context".into(),
                    values: vec![],
                }),
                response: None,
                metadata: [("stream".to_owned(), "true".to_owned())].into(),
            },
        ],
        nodes: nodes
            .iter()
            .map(|(id, address)| registry::Node {
                id: (*id).into(),
                address: (*address).into(),
                port: 0,
                metadata: node_metadata
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            })
            .collect(),
        options: Some(registry::Options {
            ttl,
            domain: "micro".into(),
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_go_service_registers_beats_and_leaves() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let service = GoService::start(&server, "acid").await?;

    // An IPv6 host in brackets, the port in the same field: seen on real machines.
    let first = record(&[("acid-1", "[::1]:46067")], 90);
    let _: registry::EmptyResponse = service
        .call("/registry.Registry/Register", first.clone())
        .await?;
    let nodes = service.nodes("acid").await?;
    assert_eq!(nodes.len(), 1);
    assert_eq!(
        (nodes[0].address.as_str(), nodes[0].port),
        ("[::1]:46067", 0)
    );
    assert_eq!(nodes[0].metadata["protocol"], "grpc");

    // A heartbeat is the same call again, and a second node joins the first.
    let _: registry::EmptyResponse = service
        .call("/registry.Registry/Register", first.clone())
        .await?;
    let _: registry::EmptyResponse = service
        .call(
            "/registry.Registry/Register",
            record(&[("acid-2", "127.0.0.1:46068")], 90),
        )
        .await?;
    assert_eq!(service.nodes("acid").await?.len(), 2);

    let listed: registry::ListResponse = service
        .call(
            "/registry.Registry/ListServices",
            registry::ListRequest {
                options: Some(registry::Options {
                    ttl: 0,
                    domain: "micro".into(),
                }),
            },
        )
        .await?;
    let ours = listed
        .services
        .iter()
        .find(|service| service.name == "acid");
    let ours = ours.expect("the list holds what was registered");
    assert_eq!(ours.metadata["domain"], "micro");
    assert_eq!(ours.endpoints.len(), 2);
    assert_eq!(ours.endpoints[1].metadata["stream"], "true");

    // On SIGTERM: name, version and node; nothing else.
    for (id, address) in [("acid-1", "[::1]:46067"), ("acid-2", "127.0.0.1:46068")] {
        let mut last = record(&[(id, address)], 0);
        last.endpoints.clear();
        let _: registry::EmptyResponse =
            service.call("/registry.Registry/Deregister", last).await?;
    }
    let gone = service
        .connection
        .call(
            "/registry.Registry/GetService",
            &with(&service.token),
            &[registry::GetRequest {
                service: "acid".into(),
                options: None,
            }],
        )
        .await?;
    assert_eq!(gone.error()?["code"], 404);
    assert_eq!(gone.error()?["detail"], "service not found");
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn a_go_service_keeps_records_and_blobs() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let service = GoService::start(&server, "acid").await?;

    // Database is the namespace, table the service's name, expiry in seconds.
    let written = store::WriteRequest {
        record: Some(store::Record {
            key: "k1".into(),
            value: "v1".into(),
            expiry: 60,
            ..Default::default()
        }),
        options: Some(store::WriteOptions {
            database: "micro".into(),
            table: "acid".into(),
        }),
    };
    let _: store::WriteResponse = service.call("/store.Store/Write", written).await?;
    let read = store::ReadRequest {
        key: "k1".into(),
        options: Some(store::ReadOptions {
            database: "micro".into(),
            table: "acid".into(),
            ..Default::default()
        }),
    };
    let records: store::ReadResponse = service.call("/store.Store/Read", read).await?;
    assert_eq!(records.records[0].value.as_ref(), b"v1");
    assert!((1..=60).contains(&records.records[0].expiry));

    // An explicit table comes without a database: the namespace is meant.
    let other = store::WriteRequest {
        record: Some(store::Record {
            key: "k2".into(),
            value: "v2".into(),
            ..Default::default()
        }),
        options: Some(store::WriteOptions {
            database: String::new(),
            table: "notes".into(),
        }),
    };
    let _: store::WriteResponse = service.call("/store.Store/Write", other).await?;
    let tables: store::TablesResponse = service
        .call(
            "/store.Store/Tables",
            store::TablesRequest {
                database: "micro".into(),
            },
        )
        .await?;
    assert_eq!(tables.tables, ["acid", "notes"]);

    // A blob of 300,000 bytes is 293 messages of 1,024 bytes, each with key and options.
    let blob: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
    let options = store::BlobOptions {
        namespace: "micro".into(),
        ..Default::default()
    };
    let chunks: Vec<_> = blob
        .chunks(1024)
        .map(|chunk| store::BlobWriteRequest {
            key: "big".into(),
            options: Some(options.clone()),
            blob: chunk.to_vec().into(),
        })
        .collect();
    assert_eq!(chunks.len(), 293);
    let _: store::BlobWriteResponse = service
        .connection
        .call("/store.BlobStore/Write", &with(&service.token), &chunks)
        .await?
        .single()?;
    let answer = service
        .connection
        .call(
            "/store.BlobStore/Read",
            &with(&service.token),
            &[store::BlobReadRequest {
                key: "big".into(),
                options: Some(options),
            }],
        )
        .await?;
    assert_eq!(answer.status, 0, "{}", answer.message);
    let mut read = Vec::new();
    for message in &answer.messages {
        let part = <store::BlobReadResponse as prost::Message>::decode(message.clone())?;
        read.extend_from_slice(&part.blob);
    }
    assert!(read == blob, "{} bytes came back", read.len());

    // Seen with an options message that is there and empty.
    let _: runtime::ReadResponse = service
        .call(
            "/runtime.Runtime/Read",
            runtime::ReadRequest {
                options: Some(runtime::ReadOptions::default()),
            },
        )
        .await?;
    // Called now and then by every service, for its own checks.
    let rules: auth::ListResponse = service
        .call(
            "/auth.Rules/List",
            auth::ListRequest {
                options: namespace(),
            },
        )
        .await?;
    assert_eq!(rules.rules[0].id, "default");
    let raw_token = service.token.trim_start_matches("Bearer ").to_owned();
    let inspected: auth::InspectResponse = service
        .call(
            "/auth.Auth/Inspect",
            auth::InspectRequest {
                token: raw_token,
                options: namespace(),
            },
        )
        .await?;
    let account = inspected.account.expect("the answer names the account");
    assert_eq!(
        (account.id.as_str(), account.issuer.as_str()),
        ("acid-latest", "micro")
    );
    assert_eq!(account.secret, "");
    assert!(server.stop().await.success());
    Ok(())
}

#[tokio::test]
async fn a_go_client_reads_errors_with_lower_case_keys() -> Result<()> {
    let mut server = Server::start(&profile()).await;
    let connection = Connection::open(&server.proxy().to_string()).await?;
    let empty = registry::GetRequest::default();

    let unknown = connection
        .call(
            "/nosuch.Nosuch/Call",
            &METADATA,
            std::slice::from_ref(&empty),
        )
        .await?;
    let error = unknown.error()?;
    assert_eq!(error["id"], "go.micro.client");
    assert_eq!(error["detail"], "service nosuch: route not found");

    let blank = connection
        .call("/Helloworld/Call", &METADATA, std::slice::from_ref(&empty))
        .await?;
    assert_eq!(blank.error()?["code"], 400);
    assert_eq!(blank.error()?["detail"], "service name is blank");

    let mut bad = METADATA.to_vec();
    bad.push(("authorization", "bad"));
    let refused = connection
        .call(
            "/registry.Registry/ListServices",
            &bad,
            std::slice::from_ref(&empty),
        )
        .await?;
    assert_eq!(refused.error()?["code"], 401);
    assert_eq!(
        refused.error()?["detail"],
        "invalid authorization header. Expected Bearer or Basic schema"
    );
    let anonymous = connection
        .call(
            "/store.Store/Databases",
            &METADATA,
            &[store::DatabasesRequest {}],
        )
        .await?;
    assert_eq!(anonymous.error()?["id"], "store.Store.Databases");
    assert_eq!(anonymous.error()?["detail"], "An account is required");
    assert!(server.stop().await.success());
    Ok(())
}
