//! What an earlier server left running: taken over if it is known, ended if it is not.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use micro_plugin_api::runtime::{Exit, State};

use crate::{
    notes::Note,
    procfs::{Identity, Process},
    runtime::{Shared, blocking},
    supervise::Leader,
    tree,
};

/// How long processes that nobody knows of may take to end by themselves.
const STRAY_GRACE: Duration = Duration::from_secs(1);

/// Fills the table with the instances of an earlier server: those whose process runs are watched
/// over again, of the others it is told that they ended. Whatever bears this runtime's mark and
/// belongs to none of them is ended.
pub(crate) async fn adopt(shared: &Arc<Shared>) -> io::Result<()> {
    let of_notes = shared.clone();
    let (notes, marked) = blocking(move || {
        let notes = of_notes.notes.read()?;
        Ok((notes, tree::marked(&of_notes.notes.root)))
    })
    .await?;
    let mut found: Vec<_> = notes
        .into_iter()
        .map(|note| (leader(&note, &marked, &shared.boot), note))
        .collect();
    // Of two of one key, which a death in the middle of a start leaves, the living or newer counts.
    found.sort_by_key(|(leader, note)| Reverse((leader.is_some(), note.started_at)));
    let mut keys = HashSet::new();
    let mut adopted = HashSet::new();
    for (leader, mut note) in found {
        let key = note.spec.key.clone();
        if !keys.insert(key.clone()) {
            shared.notes.remove(&note.id);
            continue;
        }
        match leader {
            Some(leader) => {
                tracing::info!(service = %key, pid = leader.pid, "an earlier server's service runs on");
                adopted.insert(note.id.clone());
                note.state = State::Running;
            }
            None => note.state = State::Exited(end(&note.state)),
        }
        note.leader = leader;
        shared.notes.write(&note)?;
        // Cannot be refused: no two have one key, and nobody else has the table yet.
        let _ = shared.table.insert(&key, || {
            Ok(shared.supervise(note, leader.map(Leader::Adopted)))
        });
    }
    let mut strays: HashMap<String, Vec<Identity>> = HashMap::new();
    for (process, id) in marked {
        if !adopted.contains(&id) {
            strays.entry(id).or_default().push(process.identity);
        }
    }
    let strays: Vec<_> = strays.into_values().flatten().collect();
    if !strays.is_empty() {
        tracing::warn!(pids = ?strays.iter().map(|stray| stray.pid).collect::<Vec<_>>(), "ending processes of an earlier server that are no service's any more");
        tree::end_all(strays, STRAY_GRACE).await;
    }
    Ok(())
}

/// The process of an instance, if it still runs.
fn leader(note: &Note, marked: &[(Process, String)], boot: &str) -> Option<Identity> {
    if note.boot != boot {
        return None;
    }
    match note.leader {
        Some(leader) => leader.runs().then_some(leader),
        // The server died between starting it and noting it.
        None if note.state == State::Running => marked
            .iter()
            .filter(|(process, id)| *id == note.id && process.group == process.identity.pid)
            .map(|(process, _)| process.identity)
            .min_by_key(|identity| identity.start),
        None => None,
    }
}

/// How an instance ended whose process is gone.
fn end(state: &State) -> Exit {
    match state {
        State::Exited(exit) => exit.clone(),
        State::Waiting(backoff) => backoff.exit.clone(),
        _ => Exit {
            message: Some("ended while no server watched over it".to_owned()),
            ..Exit::default()
        },
    }
}
