//! Killed while 64 write: nothing that was acknowledged is lost, nothing is torn, no version is
//! given twice.

use std::{
    collections::{HashMap, HashSet},
    io::{BufRead as _, BufReader},
    path::Path,
};

use crate::hammer::{WRITERS, keys, number, open, other_process, runtime};

/// How often it is killed.
const KILLS: usize = 8;

/// How much is acknowledged before each: another number each time, so that the kills meet the
/// store at many moments.
const ACKNOWLEDGED: usize = 400;

pub(crate) fn nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut last: HashMap<usize, u64> = HashMap::new();
    let mut versions = HashSet::new();
    for kill in 0..KILLS {
        let wanted = ACKNOWLEDGED + kill * 97;
        for (writer, count, version) in killed(folder.path(), wanted) {
            let before = last.insert(writer, count);
            assert!(
                before.is_none_or(|before| count > before),
                "writer {writer} went back"
            );
            assert!(
                versions.insert(version),
                "version {version} was given twice"
            );
        }
        runtime().block_on(check(folder.path(), &last));
    }
    assert_eq!(last.len(), WRITERS, "everybody came to write");
}

/// What was acknowledged before the process was killed: as much as wanted, and what came then.
fn killed(folder: &Path, wanted: usize) -> Vec<(usize, u64, u64)> {
    let mut process = other_process("hammer", folder).spawn().expect("a process");
    let output = process.stdout.take().expect("a pipe");
    let mut acknowledged = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.expect("a line");
        let mut numbers = line
            .split(' ')
            .map(|number| number.parse::<u64>().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        let writer = usize::try_from(next()).expect("a small number");
        acknowledged.push((writer, next(), next()));
        if acknowledged.len() == wanted {
            process.kill().expect("it can be killed");
        }
    }
    process.wait().expect("it has ended");
    assert!(acknowledged.len() >= wanted, "it ended by itself");
    acknowledged
}

async fn check(folder: &Path, last: &HashMap<usize, u64>) {
    let store = open(folder).expect("a store that opens");
    for (writer, acknowledged) in last {
        let [a, b] = keys(*writer);
        let (there, version) = number(&store, &a).await;
        // One more may be on disk than was told.
        assert!(
            there == *acknowledged || there == acknowledged + 1,
            "writer {writer}: {there} is there, {acknowledged} was acknowledged"
        );
        assert_eq!(
            number(&store, &b).await,
            (there, version),
            "writer {writer}: torn"
        );
    }
}
