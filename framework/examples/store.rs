//! Students, kept so that they can be found by id, by class and by score: each question has its keys.
//!
//! Run it against a server: `MICRO_PROXY=127.0.0.1:8081 MICRO_AUTH_ID=admin MICRO_AUTH_SECRET=micro
//! cargo run --example store`.

#![allow(clippy::print_stdout, reason = "a program that shows what it found")]

use micro::{
    Error,
    store::{Query, Record},
};

const STUDENTS: [(&str, &str, &str, u32); 4] = [
    ("id1", "Jane", "firstGrade", 98),
    ("id2", "Alice", "secondGrade", 92),
    ("id3", "Joe", "secondGrade", 89),
    ("id4", "Betty", "thirdGrade", 94),
];

#[tokio::main]
async fn main() -> Result<(), Error> {
    // The namespace's database, and a table of our own in it.
    let store = micro::client().store().table("students");

    for (id, name, class, score) in STUDENTS {
        let student =
            serde_json::json!({"id": id, "name": name, "class": class, "avgScore": score});
        for key in [
            format!("usersById/{id}"),
            format!("usersByClass/{class}/{id}"),
            // Keys are ordered as text: numbers are padded to one length.
            format!("usersByAvgScore/{score:03}/{id}"),
        ] {
            store.write(Record::new(key, student.to_string())).await?;
        }
    }

    // One by its id.
    if let Some(jane) = store.read("usersById/id1").await? {
        println!("{}", String::from_utf8_lossy(&jane.value));
    }

    // All of a class.
    let second_graders = Query::prefix("usersByClass/secondGrade/");
    for student in store.read_many(second_graders).await? {
        println!("{}", String::from_utf8_lossy(&student.value));
    }

    // The best two.
    let best = Query::prefix("usersByAvgScore/").descending().limit(2);
    for key in store.list(best).await? {
        println!("{key}");
    }

    // And away with them.
    for key in store.list(Query::all()).await? {
        store.delete(key).await?;
    }
    Ok(())
}
