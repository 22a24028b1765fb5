//! Rules about what a watch tells.

use micro_plugin_api::{
    RegistryHandle,
    registry::{Change, Endpoint, Filter},
};

use super::{Scope, node};
use crate::{
    Case,
    check::{Verdict, same, unique},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<RegistryHandle>> {
    vec![
        case!(
            "registry.watch.snapshot",
            snapshot,
            "A watch begins with every service that is there, once each, then says Synced, even if there is none."
        ),
        case!(
            "registry.watch.changes",
            changes,
            "After Synced a watch tells of each version created, changed and deleted, as it now is or was last."
        ),
        case!(
            "registry.watch.renewal",
            renewal,
            "Registering again without a difference is no change."
        ),
        case!(
            "registry.watch.filter",
            filtered,
            "A watch tells of the services that its filter selects, by domain, name or both, and of no other."
        ),
        case!(
            "registry.watch.everything",
            everything,
            "A watch without a filter tells of every domain."
        ),
    ]
}

async fn snapshot(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut watch = scope.watch(&scope.filter()).await?;
    same("an empty snapshot", watch.snapshot().await?, vec![])?;
    for i in 0..100 {
        scope
            .register(&scope.service(&format!("s{i:02}"), &["a", "b"]))
            .await?;
    }
    scope.register(&scope.service("gone", &["a"])).await?;
    scope.deregister(&scope.service("gone", &["a"])).await?;
    let mut watch = scope.watch(&scope.filter()).await?;
    let mut seen = watch.snapshot().await?;
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    same("the snapshot", seen, scope.list().await?)
}

async fn changes(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut watch = scope.watch(&scope.filter()).await?;
    same("the snapshot", watch.snapshot().await?, vec![])?;

    let first = scope.service("s", &["a"]);
    scope.register(&first).await?;
    same("a new service", watch.next().await?, Change::Created(first))?;

    let mut both = scope.service("s", &["b"]);
    both.metadata = [("k".to_owned(), "v".to_owned())].into();
    scope.register(&both).await?;
    both.nodes.insert(0, node("a"));
    same(
        "a second node",
        watch.next().await?,
        Change::Updated(both.clone()),
    )?;

    let mut changed = both.clone();
    changed.endpoints.push(Endpoint {
        name: "S.Call".to_owned(),
        ..Endpoint::default()
    });
    scope.register(&changed).await?;
    same(
        "a new endpoint",
        watch.next().await?,
        Change::Updated(changed.clone()),
    )?;

    changed.nodes[0].address = "127.0.0.1:5050".to_owned();
    scope.register(&changed).await?;
    same(
        "a moved node",
        watch.next().await?,
        Change::Updated(changed.clone()),
    )?;

    let mut version = scope.service("s", &["a"]);
    version.version = "v2".to_owned();
    scope.register(&version).await?;
    same(
        "a new version",
        watch.next().await?,
        Change::Created(version.clone()),
    )?;

    scope.deregister(&scope.service("s", &["b"])).await?;
    changed.nodes.pop();
    same(
        "a node less",
        watch.next().await?,
        Change::Updated(changed.clone()),
    )?;

    scope.deregister(&scope.service("s", &["a"])).await?;
    same(
        "no node left",
        watch.next().await?,
        Change::Deleted(changed.clone()),
    )?;

    scope.register(&changed).await?;
    same("back again", watch.next().await?, Change::Created(changed))?;
    scope.deregister(&version).await?;
    same(
        "the version gone",
        watch.next().await?,
        Change::Deleted(version),
    )
}

async fn renewal(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let hour = std::time::Duration::from_secs(3_600);
    let service = scope.service("s", &["a", "b"]);
    scope.register_for(&service, hour).await?;
    let mut watch = scope.watch(&scope.filter()).await?;
    same(
        "the snapshot",
        watch.snapshot().await?,
        vec![service.clone()],
    )?;
    for _ in 0..5 {
        scope.register_for(&service, hour).await?;
    }
    scope.deregister(&scope.service("s", &["never"])).await?;
    let marker = scope.service("marker", &["n"]);
    scope.register(&marker).await?;
    same(
        "the next change",
        watch.next().await?,
        Change::Created(marker),
    )
}

async fn filtered(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut other = scope.clone();
    other.domain = unique("domain");
    let name = unique("name");
    let filter = |domain: Option<&str>, name: Option<&str>| Filter {
        domain: domain.map(str::to_owned),
        name: name.map(str::to_owned),
    };
    let mut by_domain = scope.watch(&filter(Some(&scope.domain), None)).await?;
    let mut by_name = scope.watch(&filter(None, Some(&name))).await?;
    let mut by_both = scope
        .watch(&filter(Some(&scope.domain), Some(&name)))
        .await?;
    for watch in [&mut by_domain, &mut by_name, &mut by_both] {
        same("the snapshot", watch.snapshot().await?, vec![])?;
    }
    let theirs = other.service(&name, &["n"]);
    let ours = scope.service(&name, &["n"]);
    let unnamed = scope.service("unnamed", &["n"]);
    for service in [&theirs, &ours, &unnamed] {
        scope.register(service).await?;
        scope.deregister(service).await?;
    }
    for (watch, wanted) in [
        (&mut by_domain, vec![&ours, &unnamed]),
        (&mut by_name, vec![&theirs, &ours]),
        (&mut by_both, vec![&ours]),
    ] {
        for service in wanted {
            same(
                "created",
                watch.next().await?,
                Change::Created(service.clone()),
            )?;
            same(
                "deleted",
                watch.next().await?,
                Change::Deleted(service.clone()),
            )?;
        }
    }
    let marker = scope.service(&name, &["marker"]);
    scope.register(&marker).await?;
    for watch in [&mut by_domain, &mut by_name, &mut by_both] {
        same(
            "the last",
            watch.next().await?,
            Change::Created(marker.clone()),
        )?;
    }
    Ok(())
}

async fn everything(registry: RegistryHandle) -> Verdict {
    let scope = Scope::new(registry);
    let mut other = scope.clone();
    other.domain = unique("domain");
    scope.register(&scope.service("before", &["n"])).await?;
    let mut watch = scope.watch(&Filter::default()).await?;
    let snapshot = watch.snapshot().await?;
    let ours = snapshot
        .iter()
        .filter(|service| service.domain == scope.domain)
        .count();
    same("services of ours in the snapshot", ours, 1)?;
    // A shared backend may tell of others in between.
    for service in [scope.service("a", &["n"]), other.service("b", &["n"])] {
        scope.register(&service).await?;
        let wanted = Change::Created(service);
        while watch.next().await? != wanted {}
    }
    Ok(())
}
