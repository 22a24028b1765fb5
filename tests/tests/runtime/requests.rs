//! What is refused, and how.

use futures::stream;
use micro_proto::runtime::{
    CreateOptions, CreateRequest, DeleteOptions, DeleteRequest, Namespace, ReadRequest, Resource,
    Service, UploadRequest, build_client::BuildClient, runtime_client::RuntimeClient,
    source_client::SourceClient,
};
use tokio::time::timeout;
use tonic::Code;

use super::bench::*;

#[tokio::test(flavor = "multi_thread")]
async fn bad_sources_are_named() {
    let bench = Bench::new().await;
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    let mut builder = tar::Builder::new(Vec::new());
    builder
        .append_link(&mut link, "passwd", "/etc/passwd")
        .unwrap();
    for (name, bytes, expected) in [
        (
            "text",
            b"not a tar".repeat(200),
            "the source is not a tar archive",
        ),
        (
            "link",
            builder.into_inner().unwrap(),
            "the link \"passwd\" in the source leads outside its folder",
        ),
        (
            "none",
            archive(&[("data", "x")]),
            "nothing to run: the folder has no Cargo.toml",
        ),
    ] {
        bench.upload(name, bytes).await.unwrap();
        bench.create(name, CreateOptions::default()).await.unwrap();
        let last = bench.ends_with(name).await;
        assert!(last.error.contains(expected), "{name}: {}", last.error);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_checked() {
    let bench = Bench::new().await;
    bench
        .upload("good", archive(&[("run", WAITS)]))
        .await
        .unwrap();
    let create = async |change: &dyn Fn(&mut Service, &mut CreateOptions)| {
        let mut service = Service {
            source: "source://good:latest".to_owned(),
            ..service("good")
        };
        let mut options = CreateOptions::default();
        change(&mut service, &mut options);
        let request = CreateRequest {
            resource: resource(service),
            options: Some(options),
        };
        error(bench.runtime.clone().create(request).await)
    };
    type Change = dyn Fn(&mut Service, &mut CreateOptions);
    let cases: [(&Change, &str); 8] = [
        (
            &|service, _| service.name.clear(),
            "the service has no name",
        ),
        (
            &|service, _| service.name = "../x".into(),
            "the name \"../x\" is not allowed",
        ),
        (
            &|service, _| service.name = "store".into(),
            "store is the name of a service of the platform",
        ),
        (
            &|service, _| service.version = "a b".into(),
            "the version \"a b\" is not allowed",
        ),
        (
            &|service, _| service.source = "github.com/x/y".into(),
            "the source \"github.com/x/y\" cannot be fetched",
        ),
        (
            &|service, _| service.source = "source://nosuch:latest".into(),
            "the source source://nosuch:latest was not uploaded",
        ),
        (
            &|_, options| options.env = vec!["secret".into()],
            "an environment variable must be given as NAME=VALUE",
        ),
        (
            &|_, options| options.entrypoint = "../up".into(),
            "the entrypoint ../up lies outside the source",
        ),
    ];
    for (change, expected) in cases {
        let (code, detail) = create(change).await;
        assert_eq!(code, 400, "{detail}");
        assert!(detail.starts_with(expected), "{detail}");
    }
    let mut runtime = bench.runtime.clone();
    assert_eq!(
        error(runtime.create(CreateRequest::default()).await),
        (400, "blank resource".to_owned())
    );
    let namespace = Resource {
        namespace: Some(Namespace {
            name: "x".to_owned(),
        }),
        ..Resource::default()
    };
    let request = CreateRequest {
        resource: Some(namespace),
        ..CreateRequest::default()
    };
    runtime.create(request).await.unwrap();
    assert_eq!(
        error(bench.upload("big", vec![0; 5 * 1024 * 1024]).await).0,
        400
    );
    let mut sources = SourceClient::new(bench.door.clone());
    let none = sources
        .upload(stream::iter([UploadRequest::default()]))
        .await;
    assert_eq!(error(none), (400, "No service was sent".to_owned()));
    let empty = UploadRequest {
        service: Some(service("empty")),
        ..UploadRequest::default()
    };
    let empty = sources.upload(stream::iter([empty])).await;
    assert_eq!(error(empty), (400, "the source is empty".to_owned()));
    let mut builds = BuildClient::new(bench.door.clone());
    let build = builds.read(Service {
        version: "latest".to_owned(),
        ..service("good")
    });
    assert_eq!(error(build.await), (404, "Build not found".to_owned()));

    // Nobody, and somebody of another namespace.
    let nobody = bench.core.door("", "");
    let status = RuntimeClient::new(nobody.clone())
        .read(ReadRequest::default())
        .await;
    assert_eq!(error(status), (401, "An account is required".to_owned()));
    let mut sources = SourceClient::new(nobody);
    let upload = sources.upload(stream::iter([UploadRequest::default()]));
    assert_eq!(
        error(upload.await),
        (401, "An account is required to upload source".to_owned())
    );
    // Whoever may replace the source of a service decides what it does.
    let person = bench.core.by(micro_tests::callers::user("micro"));
    let mut sources = SourceClient::new(person);
    let upload = sources.upload(stream::iter([UploadRequest::default()]));
    assert_eq!(error(upload.await), (401, "Unauthorized".to_owned()));
    let platform = DeleteRequest {
        resource: resource(service("x")),
        options: Some(DeleteOptions {
            namespace: "$platform".to_owned(),
        }),
    };
    assert_eq!(
        error(runtime.delete(platform).await),
        (403, "Access denied to namespace".to_owned())
    );
    // None of this has left anything.
    assert_eq!(bench.processes().await, 0);
    let logs = timeout(micro_tests::PATIENCE, bench.logs("good", 1))
        .await
        .unwrap();
    assert_eq!(logs.unwrap_err().code(), Code::NotFound);
}
