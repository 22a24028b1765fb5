//! What programs print.

use std::time::Duration;

use micro_plugin_api::{Code, runtime::LogOptions};

use super::{Scope, Subject, always, next};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unix_millis},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<Subject>> {
    vec![
        case!(
            "runtime.logs.both-outputs",
            both_outputs,
            "The lines of both outputs come oldest first, the last one also without an end."
        ),
        case!(
            "runtime.logs.tail",
            tail,
            "As many of the last lines come as were asked for; none if that is 0."
        ),
        case!(
            "runtime.logs.since",
            since,
            "Lines that were printed well before the given time do not come, those after it do."
        ),
        case!(
            "runtime.logs.follow",
            follow,
            "A followed log goes on with lines as they are printed."
        ),
        case!(
            "runtime.logs.over-restarts",
            over_restarts,
            "A followed log goes on over restarts, and the log keeps the words of each."
        ),
        case!(
            "runtime.logs.after-the-end",
            after_the_end,
            "The log of what has ended, or was stopped, can still be read."
        ),
        case!(
            "runtime.logs.any-bytes",
            any_bytes,
            "What is no UTF-8 comes as text, and a line without end comes in bounded pieces."
        ),
        case!(
            "runtime.logs.unknown",
            unknown,
            "The log of what was never started is not found."
        ),
    ]
}

async fn both_outputs(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope
        .shell("prints", "echo out; echo err >&2; echo; printf 'no end'")
        .await?;
    scope.exit("prints").await?;
    let lines = scope.log("prints", None).await?;
    let wanted = ["out", "err", "", "no end"].map(str::to_owned).to_vec();
    same("the lines", lines, wanted)
}

async fn tail(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done";
    scope.shell("many", script).await?;
    scope.exit("many").await?;
    let last = scope.log("many", Some(2)).await?;
    let wanted = ["line 4998", "line 4999"].map(str::to_owned).to_vec();
    same("the last two", last, wanted)?;
    same(
        "the last 4000",
        scope.log("many", Some(4_000)).await?.len(),
        4_000,
    )?;
    same(
        "more than there are",
        scope.log("many", Some(9_000)).await?.len(),
        5_000,
    )?;
    same("none", scope.log("many", Some(0)).await?.len(), 0)
}

async fn since(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "echo early; while [ ! -e FILE ]; do sleep 0.05; done; echo late";
    scope.shell("prints", script).await?;
    eventually("the early line is there", async || {
        // Before its first line there may be no log at all.
        Ok(scope
            .log("prints", None)
            .await
            .is_ok_and(|lines| !lines.is_empty()))
    })
    .await?;
    // Not a wait: the line must be older than any runtime may be wrong about times.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let since = unix_millis();
    // Not a wait: what comes is printed after that time, by any clock.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let path = scope.file("prints");
    if let Err(error) = tokio::fs::write(&path, "").await {
        return Err(crate::check::Stop(format!("{}: {error}", path.display())));
    }
    scope.exit("prints").await?;
    let options = LogOptions {
        since: Some(since),
        ..LogOptions::default()
    };
    let mut lines = scope.lines("prints", &options).await?;
    same(
        "the first line",
        next(&mut lines).await?.as_deref(),
        Some("late"),
    )?;
    same("what follows", next(&mut lines).await?, None)?;
    same("all lines", scope.log("prints", None).await?.len(), 2)
}

async fn follow(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "echo one; while [ ! -e FILE ]; do sleep 0.05; done; echo two; sleep 60";
    scope.shell("prints", script).await?;
    eventually("the first line is there", async || {
        Ok(scope
            .log("prints", None)
            .await
            .is_ok_and(|lines| !lines.is_empty()))
    })
    .await?;
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut lines = scope.lines("prints", &options).await?;
    same(
        "the first line",
        next(&mut lines).await?.as_deref(),
        Some("one"),
    )?;
    let path = scope.file("prints");
    if let Err(error) = tokio::fs::write(&path, "").await {
        return Err(crate::check::Stop(format!("{}: {error}", path.display())));
    }
    same(
        "the second line",
        next(&mut lines).await?.as_deref(),
        Some("two"),
    )
}

async fn over_restarts(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let mut spec = scope.spec("prints", "echo up >> FILE; echo life $(wc -l < FILE)");
    spec.restart = always();
    scope.start(&spec).await?;
    scope.written("prints", 1).await?;
    let options = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut lines = scope.lines("prints", &options).await?;
    for life in 1..=3 {
        let line = next(&mut lines).await?.unwrap_or_default();
        let words: Vec<_> = line.split_ascii_whitespace().map(str::to_owned).collect();
        same("a line", words, vec!["life".to_owned(), life.to_string()])?;
    }
    scope.stop("prints", 5_000).await?;
    Ok(())
}

async fn after_the_end(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("ends", "echo words").await?;
    scope.exit("ends").await?;
    same(
        "of what ended",
        scope.log("ends", None).await?,
        vec!["words".to_owned()],
    )?;
    scope.stop("ends", 0).await?;
    same(
        "of what was stopped",
        scope.log("ends", None).await?,
        vec!["words".to_owned()],
    )
}

async fn any_bytes(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = r"printf '\377\376 bad\n'; head -c 3000000 /dev/zero | tr '\0' x";
    scope.shell("odd", script).await?;
    scope.exit("odd").await?;
    let lines = scope.log("odd", None).await?;
    ensure!(
        lines.first().is_some_and(|line| line.ends_with(" bad")),
        "the first line is {:?}",
        lines.first()
    );
    let longest = lines.iter().map(String::len).max();
    ensure!(
        longest.is_some_and(|longest| longest <= 1024 * 1024),
        "a piece of {longest:?} bytes"
    );
    same("all of the long line", lines[1..].concat().len(), 3_000_000)
}

async fn unknown(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let read = scope.lines("nobody", &LogOptions::default()).await;
    fails("reading", read.map(drop), Code::NOT_FOUND)?;
    Ok(())
}
