//! Ending programs, whole.

use std::time::Duration;

use micro_plugin_api::{Code, runtime::StopOptions};

use super::{Scope, Subject, always, gone};
use crate::{
    Case,
    check::{Verdict, ensure, fails, joined, same},
    suite::case,
    wait::eventually,
};

pub(super) fn cases() -> Vec<Case<Subject>> {
    vec![
        case!(
            "runtime.stop.forgets",
            forgets,
            "A stopped instance is listed no more; stopping it again is not found."
        ),
        case!(
            "runtime.stop.politely",
            politely,
            "A program is asked to end first, and may take its time within the grace."
        ),
        case!(
            "runtime.stop.by-force",
            by_force,
            "A program that does not end within the grace is killed."
        ),
        case!(
            "runtime.stop.children",
            children,
            "Children of a program end with it, those that ignore the polite request too."
        ),
        case!(
            "runtime.stop.daemons",
            daemons,
            "A child in a session of its own, whose parent is gone, ends with its instance."
        ),
        case!(
            "runtime.stop.what-is-left-behind",
            left_behind,
            "What a program leaves running when it ends by itself is ended."
        ),
        case!(
            "runtime.stop.together",
            together,
            "Several stops of one instance at once end it once; none hangs."
        ),
        case!(
            "runtime.stop.given-up",
            given_up,
            "A stop whose caller has gone away is finished all the same."
        ),
        case!(
            "runtime.stop.only-its-own",
            only_its_own,
            "Stopping an instance leaves others alone, those of its name in another version too."
        ),
    ]
}

async fn forgets(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("one", "sleep 60").await?;
    scope.stop("one", 5_000).await?;
    same("what is listed", scope.list().await?.len(), 0)?;
    fails("a second stop", scope.stop("one", 0).await, Code::NOT_FOUND)?;
    // The end of one that had ended by itself is its being forgotten.
    scope.shell("two", "exit 1").await?;
    scope.exit("two").await?;
    scope.stop("two", 0).await?;
    same("what is listed", scope.list().await?.len(), 0)
}

async fn politely(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "trap 'sleep 0.3; echo ended >> FILE; exit' TERM; echo up > FILE; while :; do sleep 0.05; done";
    scope.shell("polite", script).await?;
    scope.written("polite", 1).await?;
    scope.stop("polite", 20_000).await?;
    let lines = scope.written("polite", 1).await?;
    same(
        "what it wrote",
        lines,
        vec!["up".to_owned(), "ended".to_owned()],
    )
}

async fn by_force(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "trap '' TERM; echo $$ > FILE; while :; do sleep 0.05; done";
    scope.shell("stubborn", script).await?;
    let pid = scope.written("stubborn", 1).await?;
    scope.stop("stubborn", 100).await?;
    same("what is listed", scope.list().await?.len(), 0)?;
    gone("the program is gone", &pid[0]).await
}

async fn children(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let child = "trap \"\" TERM; echo $$ > FILE; while :; do sleep 0.05; done";
    let script = format!("sh -c '{child}' & wait");
    scope.shell("parent", &script).await?;
    let pid = scope.written("parent", 1).await?;
    scope.stop("parent", 100).await?;
    gone("the child is gone", &pid[0]).await
}

async fn daemons(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let daemon = "echo $$ > FILE; while :; do sleep 0.05; done";
    // The one in the middle ends, so that the daemon is nobody's child.
    let script = format!("(setsid sh -c '{daemon}' &); while :; do sleep 0.05; done");
    scope.shell("daemon", &script).await?;
    let pid = scope.written("daemon", 1).await?;
    scope.stop("daemon", 5_000).await?;
    gone("the daemon is gone", &pid[0]).await
}

async fn left_behind(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "sleep 60 & echo $! > FILE; (setsid sh -c 'echo $$ >> FILE; exec sleep 60' &); while [ $(wc -l < FILE) -lt 2 ]; do sleep 0.02; done";
    scope.shell("parent", script).await?;
    let pids = scope.written("parent", 2).await?;
    scope.exit("parent").await?;
    for pid in pids {
        gone("what it left is gone", &pid).await?;
    }
    Ok(())
}

async fn together(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("one", "sleep 60").await?;
    let stops = (0..4).map(|_| {
        let scope = scope.clone();
        tokio::spawn(async move { scope.stop("one", 5_000).await })
    });
    let mut stopped = 0;
    for stop in stops.collect::<Vec<_>>() {
        match joined(stop).await? {
            Ok(()) => stopped += 1,
            // It was gone by then.
            result => {
                fails("a late stop", result, Code::NOT_FOUND)?;
            }
        }
    }
    ensure!(stopped > 0, "no stop succeeded");
    same("what is listed", scope.list().await?.len(), 0)
}

async fn given_up(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "trap 'sleep 0.3; exit' TERM; echo up > FILE; while :; do sleep 0.05; done";
    scope.shell("slow", script).await?;
    scope.written("slow", 1).await?;
    let hurry = scope.call.clone().with_timeout(Duration::from_millis(50));
    let options = StopOptions { grace_ms: 20_000 };
    let stopped = scope
        .runtime
        .stop(&hurry, &scope.key("slow"), &options)
        .await;
    fails("a stop in a hurry", stopped, Code::DEADLINE)?;
    eventually("it is stopped", async || {
        Ok(scope.instance("slow").await?.is_none())
    })
    .await
}

async fn only_its_own(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("one", "sleep 60").await?;
    let mut other = scope.spec("one", "sleep 60");
    other.key.version = "other".to_owned();
    other.restart = always();
    let other = scope.start(&other).await?;
    scope.stop("one", 5_000).await?;
    same("what is left", scope.list().await?, vec![other])
}
