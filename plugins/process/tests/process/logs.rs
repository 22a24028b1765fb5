//! What services print, read back.

use micro_test_backends::{PATIENCE, until};
use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use super::common::{Bench, bench, bench_with, call, grace, key, written};
use futures::StreamExt;
use micro_plugin_api::{
    BoxStream, Code, Result,
    runtime::{LogLine, LogOptions},
};
use micro_process::Settings;

async fn follow(bench: &Bench, name: &str, tail: Option<u64>) -> BoxStream<Result<LogLine>> {
    let options = LogOptions {
        tail,
        follow: true,
        ..LogOptions::default()
    };
    bench
        .runtime
        .logs(&call(), &key(name), &options)
        .await
        .unwrap()
}

async fn next(lines: &mut BoxStream<Result<LogLine>>) -> String {
    let line = tokio::time::timeout(PATIENCE, lines.next())
        .await
        .expect("in time");
    line.unwrap().unwrap().text
}

#[tokio::test]
async fn keeps_both_outputs_in_a_private_file() {
    let bench = bench().await;
    bench
        .shell("both", "echo out; echo err >&2; printf 'no end'")
        .await;
    bench.exit("both").await;
    assert_eq!(bench.lines("both", None).await, ["out", "err", "no end"]);
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(bench.log("both")), 0o600);
    assert_eq!(mode(bench.folder.path().join("logs/micro/both")), 0o700);
    // Of one that was stopped too; and a second life is appended.
    bench
        .runtime
        .stop(&call(), &key("both"), &grace(0))
        .await
        .unwrap();
    bench.shell("both", "echo again").await;
    bench.exit("both").await;
    assert_eq!(bench.lines("both", Some(2)).await, ["err", "no endagain"]);
}

#[tokio::test]
async fn gives_the_last_lines() {
    let bench = bench().await;
    // More than one block of the reader.
    bench
        .shell(
            "many",
            "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done",
        )
        .await;
    bench.exit("many").await;
    assert_eq!(
        bench.lines("many", Some(2)).await,
        ["line 19998", "line 19999"]
    );
    assert_eq!(bench.lines("many", Some(15_000)).await[0], "line 5000");
    assert_eq!(bench.lines("many", Some(99_999)).await.len(), 20_000);
    assert!(bench.lines("many", Some(0)).await.is_empty());
}

#[tokio::test]
async fn survives_what_programs_print() {
    let bench = bench().await;
    bench.shell("odd", r"printf 'a\r\n\n\377\376 bad\n'; head -c 200000 /dev/zero | tr '\0' x; echo; printf 'é'").await;
    bench.exit("odd").await;
    let lines = bench.lines("odd", None).await;
    assert_eq!(lines[..3], ["a", "", "\u{fffd}\u{fffd} bad"]);
    assert_eq!(lines[3..lines.len() - 1].concat().len(), 200_000);
    assert_eq!(lines.last().unwrap(), "é");
}

#[tokio::test]
async fn long_lines_are_split_between_characters() {
    let bench = bench().await;
    bench.shell("umlauts", "exit 0").await;
    bench.exit("umlauts").await;
    let text = format!("x{}", "é".repeat(100_000));
    fs::write(bench.log("umlauts"), &text).unwrap();
    assert_eq!(bench.lines("umlauts", None).await.concat(), text);
}

#[tokio::test]
async fn follows_new_lines_and_a_cut_file() {
    let bench = bench().await;
    bench
        .shell("live", "echo one; echo two; while :; do sleep 0.05; done")
        .await;
    let mut lines = follow(&bench, "live", None).await;
    assert_eq!(next(&mut lines).await, "one");
    assert_eq!(next(&mut lines).await, "two");
    let mut log = fs::OpenOptions::new()
        .append(true)
        .open(bench.log("live"))
        .unwrap();
    log.write_all(b"thr").unwrap();
    log.write_all(b"ee\n").unwrap();
    assert_eq!(next(&mut lines).await, "three");
    log.set_len(0).unwrap();
    log.write_all(b"new\n").unwrap();
    assert_eq!(next(&mut lines).await, "new");
    // Replaced, as a rotation does.
    fs::rename(bench.log("live"), bench.folder.path().join("old.log")).unwrap();
    fs::write(bench.log("live"), "rotated\n").unwrap();
    assert_eq!(next(&mut lines).await, "rotated");
    bench.runtime.shutdown(&call()).await.unwrap();
}

#[tokio::test]
async fn a_followed_last_line_comes_when_the_program_ends() {
    let bench = bench().await;
    bench
        .shell(
            "last",
            "echo start; printf part; while [ ! -e go ]; do sleep 0.02; done; printf ial",
        )
        .await;
    let mut lines = follow(&bench, "last", Some(5)).await;
    assert_eq!(next(&mut lines).await, "start");
    bench.file("go", "", 0o600);
    assert_eq!(next(&mut lines).await, "partial");
}

#[tokio::test]
async fn no_logs_is_not_found() {
    let bench = bench().await;
    let Err(error) = bench
        .runtime
        .logs(&call(), &key("nosuch"), &LogOptions::default())
        .await
    else {
        panic!("there is nothing to read");
    };
    assert_eq!(error.code(), Code::NOT_FOUND);
    assert!(
        error.message().contains("nosuch@latest in micro"),
        "{error}"
    );
}

/// The bytes of all files of a log.
fn size(bench: &Bench, name: &str) -> (usize, u64) {
    let log = bench.log(name);
    let entries = fs::read_dir(log.parent().unwrap()).unwrap();
    let sizes = entries.flatten().filter_map(|entry| {
        let is_log = !entry.file_name().to_str()?.ends_with(".times");
        is_log.then(|| entry.metadata().map_or(0, |meta| meta.len()))
    });
    sizes.fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

#[tokio::test]
async fn a_full_log_turns_while_it_is_followed() {
    let settings = Settings {
        log_file_bytes: 65_536,
        log_files: 3,
        ..Settings::default()
    };
    let bench = bench_with(settings).await;
    // Less than three files, so that nothing has to go.
    let script = "i=0; while [ $i -lt 14000 ]; do echo line $i; i=$((i+1)); done; exec sleep 60";
    bench.shell("turns", script).await;
    let mut lines = follow(&bench, "turns", None).await;
    for number in 0..14_000 {
        assert_eq!(next(&mut lines).await, format!("line {number}"));
    }
    until(async || (size(&bench, "turns").0 == 3).then_some(())).await;
    let last = ["line 13998", "line 13999"];
    assert_eq!(bench.lines("turns", Some(2)).await, last);
    assert_eq!(bench.lines("turns", None).await.len(), 14_000);
    bench.runtime.shutdown(&call()).await.unwrap();
}

#[tokio::test]
async fn a_flood_keeps_to_its_bounds() {
    let settings = Settings {
        log_file_bytes: 65_536,
        log_files: 2,
        ..Settings::default()
    };
    let bench = bench_with(settings).await;
    bench
        .shell("flood", "yes flood | head -c 60000000; exec sleep 60")
        .await;
    until(async || {
        let (files, bytes) = size(&bench, "flood");
        let last = bench.lines("flood", Some(2)).await;
        let is_over = last == ["flood", "flood"] && files == 2;
        (is_over && bytes <= 3 * 65_536).then_some(())
    })
    .await;
    // And without an end of line.
    bench
        .shell(
            "endless",
            "head -c 20000000 /dev/zero; echo > over; exec sleep 60",
        )
        .await;
    written(&bench.folder.path().join("over")).await;
    until(async || {
        let (_, bytes) = size(&bench, "endless");
        (bytes > 0 && bytes <= 3 * 65_536).then_some(())
    })
    .await;
    bench.runtime.shutdown(&call()).await.unwrap();
}
