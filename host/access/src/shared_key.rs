//! The signing key that servers share: one record of the platform in the store, sealed under the
//! config secret key. Whoever comes first makes it, and all read the same.

use micro_plugin_api::store::{Commit, Precondition};
use serde::{Deserialize, Serialize};

use crate::{
    ConfigKey, Place,
    keys::{KeyError, SigningKey, encode_pem, from_text, generate},
    records::{ACCOUNTS, Records, put},
};

/// The key of the record.
const KEY: &str = "signing-key";

/// Where the sealed text stands.
const PLACE: Place<'static> = Place {
    purpose: "micro.signing-key/1",
    namespace: "",
    path: &[],
};

#[derive(Serialize, Deserialize)]
struct Sealed {
    /// PKCS#8 PEM, sealed.
    key: String,
}

/// The key in the store; made if there is none.
pub(crate) async fn load(records: &Records, with: &ConfigKey) -> Result<SigningKey, KeyError> {
    if let Some((sealed, _)) = records.read(ACCOUNTS, KEY).await? {
        return open(&sealed, with);
    }
    let pem = encode_pem(&generate()?);
    let sealed = Sealed {
        key: with.seal(&PLACE, &pem)?,
    };
    let new = Commit::new().put(ACCOUNTS, KEY, Precondition::Absent, put(&sealed));
    match records.commit(new).await {
        Ok(()) => open(&sealed, with),
        Err(error) if error.is_conflict() => match records.read(ACCOUNTS, KEY).await? {
            Some((sealed, _)) => open(&sealed, with),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

fn open(sealed: &Sealed, with: &ConfigKey) -> Result<SigningKey, KeyError> {
    let pem = with.open(&PLACE, &sealed.key)?;
    from_text(&pem, || "the record of the signing key".to_owned())
}
