//! In which order turns are given.

use std::sync::{Arc, Mutex};

use futures::{FutureExt as _, future::BoxFuture};

use super::*;

fn claim(id: &str) -> Claim {
    Claim::new(None, "micro", id)
}

/// Those who wait, and the order in which they had their turn.
struct Queue {
    turns: Turns,
    waiting: Vec<BoxFuture<'static, ()>>,
    served: Arc<Mutex<Vec<String>>>,
}

impl Queue {
    fn new() -> Self {
        Self {
            turns: Turns::new(),
            waiting: Vec::new(),
            served: Arc::default(),
        }
    }

    /// Somebody comes, and stands in line before this returns.
    fn come(&mut self, id: &str) {
        let (turns, id, served) = (self.turns.clone(), id.to_owned(), self.served.clone());
        let mut one = async move {
            let turn = turns.take(&claim(&id)).await.unwrap();
            served.lock().unwrap().push(id);
            drop(turn);
        }
        .boxed();
        let waits = (&mut one).now_or_never().is_none();
        assert!(waits, "somebody has the turn while others come");
        self.waiting.push(one);
    }

    /// The order in which all have had their turn.
    async fn served(self) -> Vec<String> {
        futures::future::join_all(self.waiting).await;
        self.served.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_flood_at_one_account_holds_up_no_other() {
    let mut queue = Queue::new();
    let turn = queue.turns.take(&claim("first")).await.unwrap();
    for _ in 0..40 {
        queue.come("flooded");
    }
    queue.come("jane");
    queue.come("bob");
    drop(turn);
    let served = queue.served().await;
    assert_eq!(served.len(), 42);
    assert_eq!(served[..4], ["flooded", "jane", "bob", "flooded"]);
}

#[tokio::test]
async fn who_was_wrong_goes_behind_but_not_for_ever() {
    let mut queue = Queue::new();
    let turn = queue.turns.take(&claim("first")).await.unwrap();
    for _ in 0..PATIENCE {
        queue.turns.note(&claim("wrong"), false);
    }
    queue.come("wrong");
    for id in ["a", "b", "c", "d", "e"] {
        queue.come(id);
    }
    drop(turn);
    let served = queue.served().await;
    assert_eq!(served, ["a", "b", "c", "wrong", "d", "e"]);

    // A right secret makes up for it.
    let mut queue = Queue::new();
    let turn = queue.turns.take(&claim("first")).await.unwrap();
    for _ in 0..PATIENCE {
        queue.turns.note(&claim("forgiven"), false);
    }
    queue.turns.note(&claim("forgiven"), true);
    queue.come("forgiven");
    queue.come("a");
    drop(turn);
    assert_eq!(queue.served().await, ["forgiven", "a"]);
}

#[tokio::test]
async fn who_leaves_passes_the_turn_on_and_makes_room() {
    let turns = Turns::new();
    let turn = turns.take(&claim("first")).await.unwrap();
    {
        let mut leaving: Vec<_> = (0..MAX_OF_ONE)
            .map(|_| {
                let turns = turns.clone();
                async move { turns.take(&claim("x")).await.map(drop) }.boxed()
            })
            .collect();
        for one in &mut leaving {
            assert!(one.now_or_never().is_none());
        }
        let full = turns.take(&claim("x")).now_or_never();
        assert!(matches!(full, Some(Err(SecretError::Busy))));
    }
    let stays = turns.clone();
    let mut stays = async move { stays.take(&claim("x")).await.map(drop) }.boxed();
    assert!((&mut stays).now_or_never().is_none());
    drop(turn);
    stays.await.unwrap();
    assert!(turns.take(&claim("x")).now_or_never().is_some());
}

#[tokio::test]
async fn when_all_is_full_the_longest_queue_makes_room() {
    let turns = Turns::new();
    let turn = turns.take(&claim("first")).await.unwrap();
    let come = |id: String| {
        let turns = turns.clone();
        let mut one = async move { turns.take(&claim(&id)).await.map(drop) }.boxed();
        let refused = matches!((&mut one).now_or_never(), Some(Err(_)));
        (one, refused)
    };
    let mut all = Vec::new();
    for n in 0..MAX_WAITING {
        let (one, refused) = come(format!("flooded{}", n / MAX_OF_ONE));
        assert!(!refused);
        all.push(one);
    }
    let (one, refused) = come("jane".to_owned());
    assert!(!refused);
    drop(turn);
    all.push(one);
    let ends = futures::future::join_all(all).await;
    assert!(ends.last().is_some_and(Result::is_ok));
    let pushed_out = ends.iter().filter(|end| end.is_err()).count();
    assert_eq!(pushed_out, 1);
}

#[test]
fn addresses() {
    let of = |text: &str| Claim::new(Some(text.parse().unwrap()), "micro", "x");
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
}
