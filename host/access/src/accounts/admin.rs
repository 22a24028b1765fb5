//! The account that a new platform is administered with: `admin`, with the secret `micro`.

use std::sync::atomic::Ordering;

use super::{Accounts, NewAccount, stored::Stored};
use crate::{KIND_USER, SCOPE_ADMIN, namespace, records::RecordError};

const ID: &str = "admin";

/// The hash of `micro`. The secret is public, so its salt may be too; and the first login of a
/// platform need not wait for it.
const SECRET: &str = "$argon2id$v=19$m=19456,t=2,p=1$bWljcm8uZGVmYXVsdC5hZA$bDszX32987NN8N5tjsdeRmEjaJmV7Qf2i6lQewA7Fjk";

impl Accounts {
    /// Makes the default account if `namespace` is `micro` and has no user, unless that is
    /// disabled. Looks again whenever an account may have been deleted.
    pub(super) async fn ensure_default_admin(&self, namespace: &str) -> Result<(), RecordError> {
        if !self.default_admin || namespace != namespace::DEFAULT {
            return Ok(());
        }
        let epoch = self.records.epoch().current();
        if self.admin_checked.load(Ordering::Acquire) == epoch {
            return Ok(());
        }
        let all = self.all(namespace).await?;
        if !all.iter().any(|account| account.kind == KIND_USER) {
            // One that has lost all accounts is no new platform.
            self.records.confirm_store().await?;
            let mut admin = Stored::new(NewAccount {
                namespace: namespace.to_owned(),
                id: ID.to_owned(),
                scopes: vec![SCOPE_ADMIN.to_owned()],
                ..NewAccount::default()
            });
            admin.secret = SECRET.to_owned();
            // Nobody made it, as its listing on the reference page shows.
            admin.metadata.clear();
            match self.records.commit(admin.insertion()).await {
                // Another server, or another login, was faster.
                Err(error) if error.is_conflict() => {}
                result => result?,
            }
        }
        self.admin_checked.store(epoch, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{Claim, Hasher};

    #[tokio::test]
    async fn the_constant_is_the_hash_of_micro() {
        let hasher = Hasher::new();
        let claim = Claim::new(None, "micro", ID);
        assert!(
            hasher
                .verify(&claim, &"micro".into(), SECRET)
                .await
                .unwrap()
        );
        assert!(
            !hasher
                .verify(&claim, &"admin".into(), SECRET)
                .await
                .unwrap()
        );
    }
}
