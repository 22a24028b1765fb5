//! Tests of how the database finds what is asked for, among a million records: by an index, looking
//! at little more than it brings.

use micro_plugin_api::{
    Call, Host, Secret, Store as _,
    store::{Commit, Cursor, Fields, ListQuery, Order, Position, Precondition, Put, Table},
};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection, QueryBuilder, Row as _, query, query_scalar, raw_sql};

use super::list::List;
use crate::{Period, Postgres, Settings, key::TableId};

const TABLE: Table<'static> = Table::new("database", "table");

const MILLION: i64 = 1_000_000;

/// Keys `00000/0000000` to `00999/0999999`: a thousand begin, and ten end, alike.
async fn seed(connection: &mut PgConnection) {
    query(
        "INSERT INTO records (tbl, head, digest, rest, tail, value, metadata, version) \
         SELECT $1, convert_to(key, 'UTF8'), '', '', convert_to(reverse(key), 'UTF8'), \
         'v', '', 1 FROM (SELECT lpad((i / 1000)::TEXT, 5, '0') || '/' || lpad(i::TEXT, 7, '0') \
         AS key FROM generate_series(0, $2 - 1) AS i) AS keys",
    )
    .bind(TableId::new(TABLE).as_bytes())
    .bind(MILLION)
    .execute(&mut *connection)
    .await
    .unwrap();
    raw_sql("ANALYZE records")
        .execute(connection)
        .await
        .unwrap();
}

async fn plan(connection: &mut PgConnection, query: &ListQuery<'_>) -> Value {
    let mut sql = QueryBuilder::new("EXPLAIN (ANALYZE, FORMAT JSON) ");
    List::new(TABLE, query).unwrap().unwrap().push(&mut sql);
    let row = sql.build().fetch_one(connection).await.unwrap();
    serde_json::from_str(&row.try_get_unchecked::<String, _>(0).unwrap()).unwrap()
}

/// How many records a plan looked at, and whether it went through the whole table for them.
fn looked_at(plan: &Value, scans: &mut Vec<String>) -> u64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    let mut count = 0;
    if plan["Relation Name"] == "records" || plan["Node Type"] == "Bitmap Index Scan" {
        scans.push(plan["Node Type"].as_str().unwrap_or_default().to_owned());
        let seen = number("Actual Rows") + number("Rows Removed by Filter");
        count += (seen * number("Actual Loops")) as u64;
    }
    let below = plan["Plans"].as_array().into_iter().flatten();
    count + below.map(|plan| looked_at(plan, scans)).sum::<u64>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_records_are_not_looked_through() {
    let server = micro_test_backends::Postgres::shared().await;
    let url = server.url(&server.database("million").await);
    let settings = Settings {
        url: Secret::new(&*url),
        // A busy machine may need as long.
        connect_timeout: Period::from_secs(30),
        timeout: Period::from_secs(60),
        statement_timeout: Period::from_secs(60),
        ..Settings::default()
    };
    let host = Host::new("postgres", "", "");
    let instance = Postgres::open(settings, host).await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    raw_sql("SET search_path = micro")
        .execute(&mut connection)
        .await
        .unwrap();
    seed(&mut connection).await;

    let last = Position {
        skip: 0,
        key: "00500/0500900".to_owned(),
    };
    let cursor: Cursor = last.to_cursor();
    let all = ListQuery::default();
    let keys = |prefix, suffix| ListQuery {
        prefix,
        suffix,
        fields: Fields::Keys,
        ..ListQuery::default()
    };
    for (what, query, wanted, most) in [
        ("a prefix", keys("00500/05000", ""), 100, 300),
        (
            "a prefix, all of it",
            ListQuery {
                prefix: "00500/05000",
                ..all.clone()
            },
            100,
            300,
        ),
        ("a prefix of many", keys("00", ""), 1_000, 1_500),
        ("everything", all.clone(), 1_000, 1_500),
        (
            "descending",
            ListQuery {
                order: Order::Descending,
                ..keys("00500/", "")
            },
            1_000,
            1_500,
        ),
        (
            "the next page",
            ListQuery {
                cursor: Some(&cursor),
                ..keys("00500/", "")
            },
            99,
            300,
        ),
        ("a suffix", keys("", "12345"), 10, 100),
        ("a suffix that nothing has", keys("", "nothing"), 0, 10),
        ("a prefix and a suffix", keys("00", "912345"), 1, 100),
    ] {
        let plan = plan(&mut connection, &query).await;
        let mut scans = Vec::new();
        let count = looked_at(&plan[0]["Plan"], &mut scans);
        let by_index = scans
            .iter()
            .all(|scan| scan.contains("Index") || scan.contains("Bitmap"));
        assert!(!scans.is_empty() && by_index, "{what}: {plan:#}");
        assert!(count <= most, "{what}: looked at {count}: {plan:#}");
        let page = instance
            .list(&Call::default(), TABLE, &query)
            .await
            .unwrap();
        assert_eq!(page.records.len(), wanted, "{what}");
    }
    no_call_looks_through_all(&instance, &mut connection).await;
}

/// How often the records were gone through from one end to the other.
async fn whole_scans(connection: &mut PgConnection) -> i64 {
    let scans = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'records'";
    raw_sql("SELECT pg_stat_clear_snapshot()")
        .execute(&mut *connection)
        .await
        .unwrap();
    query_scalar(scans).fetch_one(connection).await.unwrap()
}

async fn no_call_looks_through_all(instance: &Postgres, connection: &mut PgConnection) {
    raw_sql("SELECT pg_stat_force_next_flush()")
        .execute(&mut *connection)
        .await
        .unwrap();
    let before = whole_scans(connection).await;
    let call = Call::default();
    // Often enough that the server goes over to plans for any value.
    for i in 0..12 {
        let key = format!("00000/{i:07}");
        let record = instance.read(&call, TABLE, &key).await.unwrap();
        let version = Precondition::Version(record.unwrap().version);
        let commit = (0..i).fold(Commit::new(), |commit, j| {
            commit.put(
                TABLE,
                format!("new {i}/{j}"),
                Precondition::Absent,
                Put::default(),
            )
        });
        let commit = commit.delete(TABLE, key, version);
        instance.commit(&call, &commit).await.unwrap();
        instance.tables(&call, "database").await.unwrap();
        instance.databases(&call).await.unwrap();
        let prefix = format!("00{i:03}/");
        let query = ListQuery {
            prefix: &prefix,
            ..ListQuery::default()
        };
        instance.list(&call, TABLE, &query).await.unwrap();
    }
    instance.shutdown(&call).await.unwrap();
    // A session hands in its numbers before it is gone.
    let sessions = "SELECT count(*) FROM pg_stat_activity \
                    WHERE datname = current_database() AND application_name = 'micro'";
    micro_test_backends::until(async || {
        let left: i64 = query_scalar(sessions)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        (left == 0).then_some(())
    })
    .await;
    assert_eq!(whole_scans(connection).await, before);
}
