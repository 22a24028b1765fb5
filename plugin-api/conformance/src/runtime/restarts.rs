//! Starting again what died.

use std::time::Duration;

use micro_plugin_api::{
    Code,
    runtime::{Backoff, Instance, RestartPolicy, RestartWhen, Spec, State},
};

use super::{Scope, Subject, always, running};
use crate::{
    Case,
    check::{Verdict, ensure, fails, same, unix_millis},
    suite::case,
};

pub(super) fn cases() -> Vec<Case<Subject>> {
    vec![
        case!(
            "runtime.restart.always",
            always_again,
            "What is to run always is started again with the same command, environment and run, also after exit code 0."
        ),
        case!(
            "runtime.restart.never",
            never,
            "What is to run once stays ended."
        ),
        case!(
            "runtime.restart.on-failure",
            on_failure,
            "What is restarted on failure stays ended after exit code 0, and only then."
        ),
        case!(
            "runtime.restart.back-off",
            back_off,
            "The pause before a restart grows with every quick death, up to the longest and never beyond."
        ),
        case!(
            "runtime.restart.crash-loop",
            crash_loop,
            "Several quick deaths in a row are told as a crash loop, with the exit and the count."
        ),
        case!(
            "runtime.restart.healthy",
            healthy,
            "A program that ran for long enough begins anew with its pauses."
        ),
        case!(
            "runtime.restart.stop-in-the-pause",
            stop_in_the_pause,
            "A stop during the pause ends it for good; a start meanwhile is a conflict."
        ),
        case!(
            "runtime.restart.stop-is-no-death",
            stop_is_no_death,
            "What is stopped is not started again."
        ),
    ]
}

impl Scope {
    fn restarting(&self, name: &str, script: &str, restart: RestartPolicy) -> Spec {
        Spec {
            restart,
            run: "a-run".to_owned(),
            ..self.spec(name, script)
        }
    }

    /// Waits for a pause that is as `is` says.
    async fn pause(
        &self,
        what: &str,
        name: &str,
        is: impl Fn(&Instance, &Backoff) -> bool,
    ) -> Verdict<(Instance, Backoff)> {
        let waits = |instance: &Instance| match &instance.state {
            State::Waiting(backoff) => is(instance, backoff),
            _ => false,
        };
        let instance = self.wait(what, name, waits).await?;
        let backoff = match &instance.state {
            State::Waiting(backoff) => backoff.clone(),
            _ => Backoff::default(),
        };
        Ok((instance, backoff))
    }
}

async fn always_again(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let mut spec = scope.restarting("again", "echo $GREETING >> FILE; exit 0", always());
    spec.env.insert("GREETING".to_owned(), "hello".to_owned());
    scope.start(&spec).await?;
    let lines = scope.written("again", 3).await?;
    ensure!(
        lines.iter().all(|line| line == "hello"),
        "the environment differs: {lines:?}"
    );
    let restarted = |instance: &Instance| instance.restarts >= 2;
    let instance = scope
        .wait("restarts are counted", "again", restarted)
        .await?;
    same("the run", instance.run.as_str(), "a-run")
}

async fn never(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope.shell("once", "echo up >> FILE; exit 1").await?;
    scope.exit("once").await?;
    // Not a wait: it is given the time in which it would have been started again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    same("its starts", scope.written("once", 1).await?.len(), 1)
}

async fn on_failure(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let policy = RestartPolicy {
        when: RestartWhen::OnFailure,
        ..always()
    };
    // Fails until its third start.
    let script = "echo up >> FILE; [ $(wc -l < FILE) -ge 3 ]";
    scope
        .start(&scope.restarting("fails", script, policy))
        .await?;
    same("the code", scope.exit("fails").await?.code, Some(0))?;
    same("its starts", scope.written("fails", 3).await?.len(), 3)
}

async fn back_off(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let policy = RestartPolicy {
        initial_ms: 200,
        max_ms: 1_500,
        ..always()
    };
    scope
        .start(&scope.restarting("dies", "exit 1", policy))
        .await?;
    let mut shortest = Vec::new();
    for restarts in 0..4 {
        let of_this = |instance: &Instance, _: &Backoff| instance.restarts == restarts;
        let (_, backoff) = scope.pause("the next pause comes", "dies", of_this).await?;
        let left = backoff.until.saturating_sub(unix_millis());
        ensure!(left <= 1_500, "a pause of {left} ms is beyond the longest");
        shortest.push(backoff.until);
    }
    // From one planned start to the next: the pause, and what the program took.
    let gaps: Vec<_> = shortest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (gap, least) in gaps.iter().zip([300, 600, 1_100]) {
        ensure!(
            *gap >= least,
            "the pauses do not double: {gaps:?} ms between planned starts"
        );
    }
    Ok(())
}

async fn crash_loop(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    scope
        .start(&scope.restarting("dies", "exit 3", always()))
        .await?;
    let (instance, backoff) = scope
        .pause("a crash loop is told", "dies", |_, backoff| {
            backoff.crash_loop
        })
        .await?;
    same("the code", backoff.exit.code, Some(3))?;
    ensure!(
        instance.restarts >= 2,
        "a crash loop after {} restarts",
        instance.restarts
    );
    ensure!(instance.pid.is_none(), "it has a process: {instance:?}");
    Ok(())
}

async fn healthy(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let policy = RestartPolicy {
        healthy_ms: 300,
        ..always()
    };
    // Dies quickly twice, then runs for a while, again and again.
    let script = "echo up >> FILE; [ $(($(wc -l < FILE) % 3)) -ne 0 ] || sleep 0.6; exit 1";
    scope
        .start(&scope.restarting("recovers", script, policy))
        .await?;
    let quick = |instance: &Instance, _: &Backoff| instance.restarts == 1;
    scope.pause("it dies twice", "recovers", quick).await?;
    let (_, backoff) = scope
        .pause("a healthy run is not counted", "recovers", |instance, _| {
            instance.restarts == 0
        })
        .await?;
    ensure!(
        !backoff.crash_loop,
        "a healthy run is no part of a crash loop"
    );
    Ok(())
}

async fn stop_in_the_pause(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let policy = RestartPolicy {
        initial_ms: 30_000,
        ..RestartPolicy {
            max_ms: 30_000,
            ..always()
        }
    };
    let spec = scope.restarting("dies", "echo up >> FILE; exit 1", policy);
    scope.start(&spec).await?;
    scope.pause("it waits", "dies", |_, _| true).await?;
    fails(
        "a start in the pause",
        scope.start(&spec).await,
        Code::CONFLICT,
    )?;
    scope.stop("dies", 5_000).await?;
    same("what is listed", scope.list().await?.len(), 0)?;
    same("its starts", scope.written("dies", 1).await?.len(), 1)?;
    // And it may be started anew.
    scope
        .start(&scope.spec("dies", "sleep 60"))
        .await
        .map(drop)?;
    Ok(())
}

async fn stop_is_no_death(subject: Subject) -> Verdict {
    let scope = Scope::new(subject);
    let script = "echo up >> FILE; while :; do sleep 0.05; done";
    scope
        .start(&scope.restarting("runs", script, always()))
        .await?;
    scope.written("runs", 1).await?;
    scope.wait("it runs", "runs", running).await?;
    scope.stop("runs", 5_000).await?;
    // Not a wait: it is given the time in which it would have been started again.
    tokio::time::sleep(Duration::from_millis(300)).await;
    same("what is listed", scope.list().await?.len(), 0)?;
    same("its starts", scope.written("runs", 1).await?.len(), 1)
}
