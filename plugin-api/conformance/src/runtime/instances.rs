//! Starting programs, listing them, and how they end.

use micro_plugin_api::{
    Code,
    runtime::{Spec, State},
};

use super::{Scope, Subject, runs};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unix_millis},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<Subject>> {
    vec![
        case!(
            "runtime.start.runs",
            start_runs,
            "Start answers with an instance that runs and bears the caller's key and run."
        ),
        case!(
            "runtime.start.environment",
            environment,
            "A program gets the given environment and nothing of the server's."
        ),
        case!(
            "runtime.start.folder",
            folder,
            "A program starts in the given folder."
        ),
        case!(
            "runtime.start.once",
            once,
            "Of several starts of one key at once, one succeeds and the others are a conflict."
        ),
        case!(
            "runtime.start.after-the-end",
            after_the_end,
            "What has ended for good may be started again."
        ),
        case!(
            "runtime.start.nothing-to-run",
            nothing_to_run,
            "A start of nothing, or of what is not there, is invalid and leaves no instance."
        ),
        case!(
            "runtime.exit.code",
            exit_code,
            "The exit code of a program is told, 0 too."
        ),
        case!(
            "runtime.exit.signal",
            exit_signal,
            "The signal that ended a program is told."
        ),
        case!(
            "runtime.list.order-and-namespace",
            list,
            "Instances are listed in key order, those of a namespace alone if one is given."
        ),
    ]
}

async fn start_runs(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let before = unix_millis();
    let spec = Spec {
        run: "the-first".to_owned(),
        ..scope.spec("one", "sleep 60")
    };
    let started = scope.start(&spec).await?;
    same("the key", &started.key, &spec.key)?;
    same("the run", started.run.as_str(), "the-first")?;
    same("the state", &started.state, &State::Running)?;
    same("the restarts", started.restarts, 0)?;
    ensure!(
        (before.saturating_sub(1000)..=unix_millis() + 1000).contains(&started.started_at),
        "started at {}, which is not now",
        started.started_at
    );
    same("what is listed", runs(&scope, "one").await?, started)
}

async fn environment(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let mut spec = scope.spec("env", "env > FILE; echo end >> FILE");
    spec.env
        .insert("GREETING".to_owned(), "hello = there".to_owned());
    scope.start(&spec).await?;
    scope.exit("env").await?;
    let lines = scope.written("env", 2).await?;
    ensure!(
        lines.iter().any(|line| line == "GREETING=hello = there"),
        "the variable is missing: {lines:?}"
    );
    // Some that the shell sets by itself.
    let allowed = |name: &str| {
        spec.env.contains_key(name)
            || name.starts_with("MICRO_RUNTIME_")
            || ["PWD", "OLDPWD", "SHLVL", "_"].contains(&name)
    };
    for line in &lines {
        if let Some((name, _)) = line.split_once('=') {
            ensure!(allowed(name), "{name} is none of the given variables");
        }
    }
    Ok(())
}

async fn folder(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("where", "pwd -P > FILE").await?;
    let lines = scope.written("where", 1).await?;
    let folder = tokio::fs::canonicalize(&scope.programs.folder).await;
    let folder = folder.unwrap_or_else(|_| scope.programs.folder.clone());
    same("the folder", lines[0].as_str(), &*folder.to_string_lossy())
}

async fn once(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let spec = scope.spec("one", "sleep 60");
    let starts = (0..8).map(|_| scope.start(&spec));
    let mut started = 0;
    for result in futures::future::join_all(starts).await {
        match result {
            Ok(_) => started += 1,
            result => {
                fails("a second start", result, Code::CONFLICT)?;
            }
        }
    }
    same("how many succeeded", started, 1)?;
    same("how many are listed", scope.list().await?.len(), 1)
}

async fn after_the_end(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("twice", "exit 0").await?;
    scope.exit("twice").await?;
    let second = scope.shell("twice", "sleep 60").await?;
    same("what is listed", runs(&scope, "twice").await?, second)
}

async fn nothing_to_run(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let good = scope.spec("bad", "sleep 60");
    let without = |command: &[&str]| Spec {
        command: command.iter().map(|&part| part.to_owned()).collect(),
        ..good.clone()
    };
    for spec in [
        without(&[]),
        without(&[""]),
        without(&["no-such-program-anywhere"]),
        without(&["./no-such-program"]),
    ] {
        let what = format!("starting {:?}", spec.command);
        fails(&what, scope.start(&spec).await, Code::INVALID)?;
    }
    same("how many are listed", scope.list().await?.len(), 0)?;
    // And it is in nobody's way.
    scope.start(&good).await?;
    runs(&scope, "bad").await.map(drop)
}

async fn exit_code(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    for code in [0, 3, 255] {
        scope.shell("ends", &format!("exit {code}")).await?;
        let exit = scope.exit("ends").await?;
        same("the code", exit.code, Some(code))?;
        same("the signal", exit.signal, None)?;
    }
    Ok(())
}

async fn exit_signal(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("ends", "kill -9 $$").await?;
    let exit = scope.exit("ends").await?;
    same("the signal", exit.signal, Some(9))?;
    same("the code", exit.code, None)
}

async fn list(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    for name in ["b", "a", "c"] {
        scope.shell(name, "sleep 60").await?;
    }
    let names: Vec<_> = scope
        .list()
        .await?
        .into_iter()
        .map(|instance| instance.key.name)
        .collect();
    same(
        "the names",
        names,
        ["a", "b", "c"].map(str::to_owned).to_vec(),
    )?;
    let elsewhere = crate::check::unique("elsewhere");
    let none = scope.runtime.list(&scope.call, Some(&elsewhere)).await?;
    same("of a namespace of nobody", none.len(), 0)?;
    let all = scope.runtime.list(&scope.call, None).await?;
    let own = all
        .iter()
        .filter(|instance| instance.key.namespace == scope.namespace);
    same("of this namespace among all", own.count(), 3)
}
