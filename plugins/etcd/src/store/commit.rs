//! The one write: a transaction of etcd, under the condition that nothing has changed of what its
//! preconditions are about.

use std::collections::HashMap;

use etcd_client::{
    Compare, CompareOp, KeyValue, PutOptions, ResponseHeader, Txn, TxnOp, TxnOpResponse,
    TxnResponse,
};
use micro_plugin_api::{
    Call, Error, Result,
    store::{Commit, Operation, Precondition, Version},
};

use super::{EtcdStore, damaged, record};
use crate::client::Repeat;

/// How often a commit is tried anew when others change what it is about meanwhile, or leases go.
/// Each time somebody else had success.
const ROUNDS: usize = 32;

/// An operation and what its transaction is made of.
struct Step<'a> {
    operation: &'a Operation,
    key: Vec<u8>,
    /// What was stored when it was last looked at: the revision, or that there was nothing.
    seen: Option<Option<i64>>,
}

/// Applies a commit: one transaction if its preconditions are about records without an expiry, else
/// one that looks and one that writes.
pub(super) async fn apply(store: &EtcdStore, call: &Call, commit: &Commit) -> Result<Version> {
    commit.validate()?;
    let mut steps: Vec<_> = commit
        .operations
        .iter()
        .map(|operation| Step {
            operation,
            key: store.keys.of_record(operation.table(), &operation.key),
            seen: None,
        })
        .collect();
    let writes = Writes::encode(&steps)?;
    for _ in 0..ROUNDS {
        let txn = Txn::new()
            .when(steps.iter().flat_map(Step::compares).collect::<Vec<_>>())
            .and_then(writes.operations(store, call, &steps).await?)
            .or_else(steps.iter().filter_map(Step::look).collect::<Vec<_>>());
        let answer = store
            .etcd
            .run(call, Repeat::UnlessDone, |mut clients| {
                let txn = txn.clone();
                async move { clients.kv.txn(txn).await }
            })
            .await;
        match answer {
            Ok(answer) if answer.succeeded() => {
                let revision = answer.header().map_or(0, ResponseHeader::revision);
                return Ok(record::version(revision));
            }
            Ok(answer) => look_again(&mut steps, &answer)?,
            Err(failure) if failure.is_lease_gone() => store.leases.forget(),
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(Error::unavailable(format!(
        "others changed the same records {ROUNDS} times while they were being written; try again"
    )))
}

impl Step<'_> {
    /// What must hold of the key when the transaction is applied.
    fn compares(&self) -> Vec<Compare> {
        let key = || self.key.clone();
        let is_absent = || Compare::create_revision(key(), CompareOp::Equal, 0);
        let is_at = |revision| Compare::mod_revision(key(), CompareOp::Equal, revision);
        match (self.operation.precondition, self.seen) {
            (Precondition::Any, _) => vec![],
            (_, Some(None)) => vec![is_absent()],
            (_, Some(Some(revision))) => vec![is_at(revision)],
            (Precondition::Absent, None) => vec![is_absent()],
            (Precondition::Version(Version(version)), None) => {
                // A revision of 0 would mean that there is none, and is nobody's version.
                let revision = i64::try_from(version).ok().filter(|&revision| revision > 0);
                let is_lasting = Compare::lease(key(), CompareOp::Equal, 0);
                // What has a lease may have expired, which etcd cannot tell.
                vec![is_at(revision.unwrap_or(i64::MAX)), is_lasting]
            }
        }
    }

    /// What is looked at when the transaction is not applied.
    fn look(&self) -> Option<TxnOp> {
        let looks = self.operation.precondition != Precondition::Any;
        looks.then(|| TxnOp::get(self.key.clone(), None))
    }
}

/// Decides from what is there whether the commit is to be tried again, and on which condition.
///
/// # Errors
/// `conflict` if a precondition does not hold; `internal` if a record that one is about is damaged.
fn look_again(steps: &mut [Step<'_>], answer: &TxnResponse) -> Result<()> {
    let looking = steps.iter_mut().filter(|step| step.look().is_some());
    for (step, found) in looking.zip(answer.op_responses()) {
        let TxnOpResponse::Get(mut found) = found else {
            return Err(Error::internal("etcd answered a read with something else"));
        };
        let stored = found.take_kvs().pop();
        let operation = step.operation;
        let head = match &stored {
            None => None,
            Some(stored) => Some(
                record::head(stored).ok_or_else(|| damaged(operation.table(), &operation.key))?,
            ),
        };
        let alive = head.filter(|head| !head.has_expired());
        operation.check(alive.map(|head| head.version))?;
        step.seen = Some(stored.as_ref().map(KeyValue::mod_revision));
    }
    Ok(())
}

/// What a commit puts, as etcd has it.
struct Writes(Vec<Option<Vec<u8>>>);

impl Writes {
    fn encode(steps: &[Step<'_>]) -> Result<Self> {
        let values = steps.iter().map(|step| {
            let put = step.operation.put.as_ref();
            put.map(|put| record::encode(&step.key, put)).transpose()
        });
        Ok(Self(values.collect::<Result<_>>()?))
    }

    /// The operations of the transaction, in the commit's order. Puts that expire at the same time
    /// have the same lease.
    async fn operations(
        &self,
        store: &EtcdStore,
        call: &Call,
        steps: &[Step<'_>],
    ) -> Result<Vec<TxnOp>> {
        let mut leases = HashMap::new();
        let mut operations = Vec::with_capacity(steps.len());
        for (step, value) in steps.iter().zip(&self.0) {
            let key = step.key.clone();
            let Some(value) = value.clone() else {
                operations.push(TxnOp::delete(key, None));
                continue;
            };
            let expiry = step.operation.put.as_ref().and_then(|put| put.expiry);
            let lease = match expiry {
                None => 0,
                Some(expiry) => match leases.get(&expiry) {
                    Some(&lease) => lease,
                    None => {
                        let lease = store.leases.lasting(call, expiry).await?;
                        leases.insert(expiry, lease);
                        lease
                    }
                },
            };
            let options = PutOptions::new().with_lease(lease);
            operations.push(TxnOp::put(key, value, Some(options)));
        }
        Ok(operations)
    }
}
