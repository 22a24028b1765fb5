//! Where a server under test finds the real backends of its profile.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use micro_test_backends::{Etcd, Nats, Postgres, unique};

const ETCD: &str = "MICRO_ETCD_ENDPOINTS";
const NATS: &str = "MICRO_NATS_URL";
const POSTGRES: &str = "MICRO_POSTGRES_URL";

/// What the shipped profile `profile` needs that is not part of micro.
fn needs(profile: &str) -> &'static [&'static str] {
    match profile {
        "staging" => &[ETCD, NATS],
        "production" => &[ETCD, NATS, POSTGRES],
        _ => &[],
    }
}

/// The variables that keep a server apart from all others on the same backends.
pub(crate) fn apart() -> impl Iterator<Item = (OsString, OsString)> {
    const PREFIXES: [&str; 3] = [
        "MICRO_ETCD_PREFIX",
        "MICRO_NATS_PREFIX",
        "MICRO_POSTGRES_SCHEMA",
    ];
    let name = unique("micro");
    PREFIXES
        .map(|variable| (variable.into(), name.clone().into()))
        .into_iter()
}

/// Tells a server of this profile where the run's backends are, but for those that it knows.
pub(crate) async fn tell(profile: &str, env: &mut BTreeMap<OsString, OsString>) {
    for &variable in needs(profile) {
        if env.contains_key(OsStr::new(variable)) {
            continue;
        }
        let address = match variable {
            ETCD => Etcd::shared().await.endpoint().to_owned(),
            NATS => Nats::shared().await.url().to_owned(),
            // Every server has a schema of its own in it.
            _ => Postgres::shared().await.url("postgres"),
        };
        env.insert(variable.into(), address.into());
    }
}
