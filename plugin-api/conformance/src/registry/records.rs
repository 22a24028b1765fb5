//! Rules about registering, deregistering and listing.

use micro_plugin_api::{
    RegistryHandle,
    registry::{Endpoint, Filter, Service, Value},
};

use super::{Scope, node};
use crate::{
    Case,
    check::{Verdict, joined, same, unique},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<RegistryHandle>> {
    vec![
        case!(
            "registry.list.what-was-registered",
            what_was_registered,
            "A list brings the whole service: metadata, endpoints with nested values, nodes."
        ),
        case!(
            "registry.list.order",
            order,
            "A list has one service for each domain, name and version, in that order."
        ),
        case!(
            "registry.list.filter",
            filter,
            "A filter selects by domain, by name, by both, or everything; names are any text, taken literally."
        ),
        case!(
            "registry.domains.isolated",
            isolated,
            "Domains do not see, replace or remove each other's services."
        ),
        case!(
            "registry.register.adds-nodes",
            adds_nodes,
            "Registering adds or replaces the nodes it names; others of the service stay."
        ),
        case!(
            "registry.register.replaces-facts",
            replaces_facts,
            "Registering replaces the metadata and endpoints of the service."
        ),
        case!(
            "registry.register.concurrent",
            concurrent,
            "Nodes of one service that register at once are all there."
        ),
        case!(
            "registry.deregister.by-id",
            by_id,
            "Deregistering removes the nodes it names, by id alone; the service goes with its last one."
        ),
        case!(
            "registry.deregister.versions",
            versions,
            "Deregistering one version leaves the nodes of another, even of the same id."
        ),
        case!(
            "registry.deregister.gone-is-fine",
            gone_is_fine,
            "Deregistering what is gone, or never was, is no error and removes nothing else."
        ),
    ]
}

fn value(name: &str, kind: &str, values: Vec<Value>) -> Value {
    Value {
        name: name.to_owned(),
        kind: kind.to_owned(),
        values,
    }
}

async fn what_was_registered(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let inner = value("inner", "Inner", vec![value("ключ", "[]int64", vec![])]);
    let mut service = scope.service("helloworld", &["helloworld-1", "helloworld-2"]);
    service.metadata = [("domain", "micro"), ("", "empty"), ("é", "\"\n")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    service.endpoints = vec![
        Endpoint {
            name: "Helloworld.Stream".to_owned(),
            request: Some(value("Request", "Request", vec![inner])),
            response: Some(value("Response", "Response", vec![])),
            metadata: [("stream".to_owned(), "true".to_owned())].into(),
        },
        Endpoint {
            name: "Helloworld.Call".to_owned(),
            ..Endpoint::default()
        },
    ];
    service.nodes[0].address = "[fd00::2]:46067".to_owned();
    service.nodes[1].address = "10.0.0.1".to_owned();
    service.nodes[1].port = 8080;
    scope.register(&service).await?;
    same("the services", scope.list().await?, vec![service])
}

async fn order(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    for (name, version) in [
        ("b", "1"),
        ("a", "2"),
        ("c", "latest"),
        ("a", "10"),
        ("a.b", ""),
        ("A", "1"),
    ] {
        let mut service = scope.service(name, &["n"]);
        service.version = version.to_owned();
        scope.register(&service).await?;
    }
    let seen: Vec<_> = scope
        .list()
        .await?
        .into_iter()
        .map(|s| (s.name, s.version))
        .collect();
    let wanted = [
        ("A", "1"),
        ("a", "10"),
        ("a", "2"),
        ("a.b", ""),
        ("b", "1"),
        ("c", "latest"),
    ];
    same(
        "the services",
        seen,
        wanted.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
    )
}

async fn filter(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut other = scope.clone();
    other.domain = unique("domain");
    let name = unique("name");
    let names = [name.as_str(), "a", "a.b", "a/b", "a%", "a_", "é", "*", ""];
    for name in names {
        scope.register(&scope.service(name, &["n"])).await?;
    }
    other.register(&other.service(&name, &["n"])).await?;
    for wanted in names {
        let filter = Filter {
            domain: Some(scope.domain.clone()),
            name: Some(wanted.to_owned()),
        };
        let found = scope.registry.list(&scope.call, &filter).await?;
        let seen: Vec<_> = found
            .iter()
            .map(|s| (s.domain.as_str(), s.name.as_str()))
            .collect();
        same(
            "by domain and name",
            seen,
            vec![(scope.domain.as_str(), wanted)],
        )?;
    }
    let by_name = Filter {
        domain: None,
        name: Some(name.clone()),
    };
    let found = scope.registry.list(&scope.call, &by_name).await?;
    let seen: Vec<_> = found.into_iter().map(|service| service.domain).collect();
    let mut wanted = vec![scope.domain.clone(), other.domain.clone()];
    wanted.sort();
    same("by name", seen, wanted)?;
    let everything = scope.registry.list(&scope.call, &Filter::default()).await?;
    let ours =
        |service: &&Service| service.domain == scope.domain || service.domain == other.domain;
    same(
        "everything",
        everything.iter().filter(ours).count(),
        names.len() + 1,
    )?;
    let nothing = Filter {
        domain: Some(unique("domain")),
        name: None,
    };
    same(
        "no such domain",
        scope.registry.list(&scope.call, &nothing).await?,
        vec![],
    )
}

async fn isolated(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut other = scope.clone();
    other.domain = unique("domain");
    let mut mine = scope.service("s", &["n"]);
    mine.metadata = [("whose".to_owned(), "mine".to_owned())].into();
    scope.register(&mine).await?;
    same("the other domain", other.list().await?, vec![])?;
    other.register(&other.service("s", &["n"])).await?;
    same(
        "after the other registered",
        scope.list().await?,
        vec![mine.clone()],
    )?;
    other.deregister(&other.service("s", &["n"])).await?;
    same(
        "after the other deregistered",
        scope.list().await?,
        vec![mine],
    )?;
    same("the other domain", other.list().await?, vec![])
}

async fn adds_nodes(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    scope.register(&scope.service("s", &["a", "b"])).await?;
    let mut moved = scope.service("s", &["b", "c"]);
    moved.nodes[0].address = "127.0.0.1:5050".to_owned();
    moved.nodes[0].metadata.clear();
    scope.register(&moved).await?;
    let mut wanted = moved.clone();
    wanted.nodes.insert(0, node("a"));
    same("the services", scope.list().await?, vec![wanted])
}

async fn replaces_facts(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut first = scope.service("s", &["a"]);
    first.metadata = [("old".to_owned(), "1".to_owned())].into();
    first.endpoints = vec![Endpoint {
        name: "S.Old".to_owned(),
        ..Endpoint::default()
    }];
    scope.register(&first).await?;
    let mut second = scope.service("s", &["b"]);
    second.metadata = [("new".to_owned(), "2".to_owned())].into();
    second.endpoints = vec![Endpoint {
        name: "S.New".to_owned(),
        ..Endpoint::default()
    }];
    scope.register(&second).await?;
    second.nodes.insert(0, node("a"));
    same("the services", scope.list().await?, vec![second])
}

async fn concurrent(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let tasks: Vec<_> = (0..32)
        .map(|i| {
            let scope = scope.clone();
            tokio::spawn(async move {
                let id = format!("n{i:02}");
                scope.register(&scope.service("s", &[&id])).await?;
                scope.register(&scope.service(&id, &["n"])).await
            })
        })
        .collect();
    for task in tasks {
        joined(task).await??;
    }
    let wanted: Vec<_> = (0..32).map(|i| format!("n{i:02}")).collect();
    same("the nodes", scope.nodes("s").await?, wanted)?;
    same("the services", scope.list().await?.len(), 33)
}

async fn by_id(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    scope
        .register(&scope.service("s", &["a", "b", "c"]))
        .await?;
    scope.register(&scope.service("t", &["a"])).await?;
    let mut goes = scope.service("s", &["b"]);
    goes.nodes[0].address = "elsewhere:1".to_owned();
    scope.deregister(&goes).await?;
    same(
        "the nodes",
        scope.nodes("s").await?,
        vec!["a".to_owned(), "c".to_owned()],
    )?;
    scope.deregister(&scope.service("s", &["a", "c"])).await?;
    let left: Vec<_> = scope
        .list()
        .await?
        .into_iter()
        .map(|service| service.name)
        .collect();
    same("the services", left, vec!["t".to_owned()])
}

async fn versions(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let first = scope.service("s", &["n"]);
    let mut second = first.clone();
    second.version = "v2".to_owned();
    scope.register(&first).await?;
    scope.register(&second).await?;
    scope.deregister(&first).await?;
    same("the services", scope.list().await?, vec![second])
}

async fn gone_is_fine(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let service = scope.service("s", &["a", "b"]);
    scope.deregister(&service).await?;
    scope.register(&service).await?;
    scope.deregister(&scope.service("s", &["never"])).await?;
    same("the services", scope.list().await?, vec![service.clone()])?;
    scope.deregister(&scope.service("s", &["a"])).await?;
    scope.deregister(&scope.service("s", &["a"])).await?;
    same("the nodes", scope.nodes("s").await?, vec!["b".to_owned()])?;
    scope.deregister(&service).await?;
    scope.deregister(&service).await?;
    same("the services", scope.list().await?, vec![])
}
