//! Users as records of the store: a JSON document under `usersById/ID`.

use micro::{
    Error, errors,
    store::{Commit, Condition, Query, Record, Store},
};
use serde::{Deserialize, Serialize};

use crate::proto::User;

/// The prefix of the keys that find a user by id.
const BY_ID: &str = "usersById/";

/// What is kept of a user; the id is the key's.
#[derive(Serialize, Deserialize)]
struct Document {
    name: String,
    email: String,
}

pub struct Records {
    store: Store,
}

impl Records {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    pub async fn read(&self, id: &str) -> Result<Option<User>, Error> {
        let record = self.store.read(format!("{BY_ID}{id}")).await?;
        record.map(|record| user(&record)).transpose()
    }

    pub async fn list(&self) -> Result<Vec<User>, Error> {
        let records = self.store.read_many(Query::prefix(BY_ID)).await?;
        records.iter().map(user).collect()
    }

    /// Whether the id was free, and the user is kept now: one commit decides it, however many ask
    /// at once.
    pub async fn create(&self, user: &User) -> Result<bool, Error> {
        let document = Document {
            name: user.name.clone(),
            email: user.email.clone(),
        };
        let value = serde_json::to_vec(&document).map_err(broken)?;
        let record = Record::new(format!("{BY_ID}{}", user.id), value);
        let commit = Commit::new().put(record, Condition::Absent);
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(error) if error.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.store.delete(format!("{BY_ID}{id}")).await
    }
}

fn user(record: &Record) -> Result<User, Error> {
    let document: Document = serde_json::from_slice(&record.value).map_err(broken)?;
    Ok(User {
        id: record
            .key
            .strip_prefix(BY_ID)
            .unwrap_or(&record.key)
            .to_owned(),
        name: document.name,
        email: document.email,
    })
}

fn broken(error: serde_json::Error) -> Error {
    errors::internal_server_error("users.Records", error.to_string())
}
