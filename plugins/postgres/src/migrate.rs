//! The tables: made and changed step by step, by one of several servers that start at once.
//!
//! Whoever changes something has locked the one row of `migrations`, which says how far it is.
//! That works wherever rows can be locked. Each step can be repeated, for databases that do not
//! undo changes of tables with their transaction.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query, query_scalar, raw_sql};

use crate::{
    database::backoff,
    error::{Failure, Kind},
};

/// The steps, in order; never changed once released, only added to.
const STEPS: [&str; 1] = [include_str!("migrate/1.sql")];

/// How often making the schema and its first table is tried among others who do so.
const ATTEMPTS: usize = 50;

/// Brings the tables up to date.
pub(crate) async fn run(connection: &mut PgConnection, schema: &str) -> Result<(), Failure> {
    if found(connection).await? != Some(STEPS.len()) {
        prepare(connection, schema).await?;
        advance(connection).await?;
    }
    Ok(())
}

/// How far they are; `None` if there is nothing.
async fn found(connection: &mut PgConnection) -> Result<Option<usize>, Failure> {
    let step: Result<i32, _> = query_scalar("SELECT step FROM migrations WHERE id = 1")
        .fetch_one(connection)
        .await;
    match step {
        Ok(step) => known(step).map(Some),
        Err(sqlx::Error::RowNotFound) => Ok(None),
        // undefined_table, invalid_schema_name
        Err(error) if is_one_of(&error, &["42P01", "3F000"]) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn known(step: i32) -> Result<usize, Failure> {
    match usize::try_from(step) {
        Ok(step) if step <= STEPS.len() => Ok(step),
        _ => Err(Failure::new(
            Kind::Refused,
            format!(
                "its tables are of step {step}, made by a newer version of this plugin, which \
                 knows {} steps; update the plugin",
                STEPS.len()
            ),
        )),
    }
}

/// Makes the schema and the table of migrations. `IF NOT EXISTS` does not keep two who make the
/// same thing at once from failing, so who fails looks again.
async fn prepare(connection: &mut PgConnection, schema: &str) -> Result<(), Failure> {
    let mut waits = backoff();
    for _ in 1..ATTEMPTS {
        match create(connection, schema).await {
            // unique_violation, duplicate_schema, duplicate_table, duplicate_object,
            // serialization_failure, and an internal_error of concurrent changes
            Err(error)
                if is_one_of(
                    &error,
                    &["23505", "42P06", "42P07", "42710", "40001", "XX000"],
                ) =>
            {
                tokio::time::sleep(waits.next_wait()).await;
            }
            outcome => return Ok(outcome?),
        }
    }
    Ok(create(connection, schema).await?)
}

async fn create(connection: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
    let there: Option<i32> =
        query_scalar("SELECT 1 FROM information_schema.schemata WHERE schema_name = $1")
            .bind(schema)
            .fetch_optional(&mut *connection)
            .await?;
    if there.is_none() {
        // An account that may not make schemas can use one that was made for it.
        let create = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"");
        query(AssertSqlSafe(create))
            .execute(&mut *connection)
            .await?;
    }
    query("CREATE TABLE IF NOT EXISTS migrations (id INT PRIMARY KEY, step INT NOT NULL)")
        .execute(&mut *connection)
        .await?;
    query("INSERT INTO migrations (id, step) VALUES (1, 0) ON CONFLICT (id) DO NOTHING")
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes the steps that are missing, alone.
async fn advance(connection: &mut PgConnection) -> Result<(), Failure> {
    let mut transaction = connection.begin().await?;
    let step: i32 = query_scalar("SELECT step FROM migrations WHERE id = 1 FOR UPDATE")
        .fetch_one(&mut *transaction)
        .await?;
    let missing = &STEPS[known(step)?..];
    for step in missing {
        raw_sql(*step).execute(&mut *transaction).await?;
    }
    if !missing.is_empty() {
        query("UPDATE migrations SET step = $1 WHERE id = 1")
            .bind(i32::try_from(STEPS.len()).unwrap_or(i32::MAX))
            .execute(&mut *transaction)
            .await?;
        tracing::info!("the tables were brought to step {}", STEPS.len());
    }
    transaction.commit().await?;
    Ok(())
}

fn is_one_of(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| codes.contains(&&*code))
}
