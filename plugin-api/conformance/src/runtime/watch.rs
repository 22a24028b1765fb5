//! Being told what happens to instances.

use micro_plugin_api::runtime::{InstanceChange, Spec, State};

use super::{Scope, Subject, always, change};
use crate::{
    Case,
    check::{Stop, Verdict, ensure, same},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<Subject>> {
    vec![
        case!(
            "runtime.watch.begins-with-what-is-there",
            begins,
            "A watch begins with every instance that is there, and then says that this was all."
        ),
        case!(
            "runtime.watch.start-end-stop",
            start_end_stop,
            "A watch tells of starts, of ends with how, and of stops, in the order in which they happen."
        ),
        case!(
            "runtime.watch.restarts",
            restarts,
            "A watch tells of each death with the pause that follows, and of each new start."
        ),
    ]
}

async fn begins(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let there = scope.shell("there", "sleep 60").await?;
    let mut changes = scope.runtime.watch(&scope.call).await?;
    let first = change(&scope, &mut changes).await?;
    same("the first", first, InstanceChange::Present(there))?;
    same(
        "then",
        change(&scope, &mut changes).await?,
        InstanceChange::Synced,
    )
}

async fn start_end_stop(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let mut changes = scope.runtime.watch(&scope.call).await?;
    same(
        "at first",
        change(&scope, &mut changes).await?,
        InstanceChange::Synced,
    )?;
    let started = scope.shell("one", "exit 1").await?;
    let seen = change(&scope, &mut changes).await?;
    same("then", seen, InstanceChange::Started(started))?;
    match change(&scope, &mut changes).await? {
        InstanceChange::Exited(instance) => match instance.state {
            State::Exited(exit) => same("the code", exit.code, Some(1))?,
            other => return Err(Stop(format!("{other:?} is no end"))),
        },
        other => return Err(Stop(format!("{other:?} instead of its end"))),
    }
    scope.stop("one", 0).await?;
    let seen = change(&scope, &mut changes).await?;
    ensure!(
        matches!(&seen, InstanceChange::Stopped(instance) if instance.key == scope.key("one")),
        "{seen:?} instead of its stop"
    );
    Ok(())
}

async fn restarts(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let mut changes = scope.runtime.watch(&scope.call).await?;
    same(
        "at first",
        change(&scope, &mut changes).await?,
        InstanceChange::Synced,
    )?;
    let spec = Spec {
        restart: always(),
        ..scope.spec("dies", "exit 2")
    };
    scope.start(&spec).await?;
    for restarts in 0..3 {
        let started = change(&scope, &mut changes).await?;
        ensure!(
            matches!(&started, InstanceChange::Started(instance) if instance.restarts == restarts),
            "{started:?} instead of start {restarts}"
        );
        let died = change(&scope, &mut changes).await?;
        ensure!(
            matches!(&died, InstanceChange::Exited(instance)
                if matches!(&instance.state, State::Waiting(pause) if pause.exit.code == Some(2))),
            "{died:?} instead of a death and a pause"
        );
    }
    Ok(())
}
