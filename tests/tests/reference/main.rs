//! The transcripts of the reference page from "Run helloworld" to "Store", in its order, on one
//! server with a fresh home folder.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests fails as they do, by panicking"
)]

mod auth;
mod command_line;
mod config;
mod gateway;
mod runtime;

use micro_tests::{Ran, Server, profile};

/// The server, and the command line as the page writes it.
struct Reader {
    server: Server,
}

impl Reader {
    /// Runs a line of the page: words in spaces, or in quotes.
    async fn run(&self, line: &str) -> Ran {
        let words = shell_words(line);
        assert_eq!(words[0], "micro", "{line}");
        self.server.micro(&words[1..]).await
    }

    /// What a line prints that succeeds.
    #[track_caller]
    fn shows(&self, line: &str) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let ran = self.run(line).await;
            assert_eq!(ran.code, Some(0), "{caller}: {line}: {ran:#?}");
            ran.stdout
        }
    }
}

/// The words of a command line; single and double quotes keep their content as it is.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[tokio::test]
async fn the_reference_page_in_order() {
    let reader = Reader {
        server: Server::start(&profile()).await,
    };
    command_line::environments(&reader).await;
    command_line::login(&reader).await;
    runtime::run_helloworld(&reader).await;
    command_line::dynamic_commands(&reader).await;
    gateway::calls(&reader).await;
    auth::rules(&reader).await;
    auth::accounts(&reader).await;
    config::plain(&reader).await;
    config::secrets(&reader).await;
    config::merged(&reader).await;
    runtime::status_logs_update_kill(&reader).await;
    let mut server = reader.server;
    assert!(server.stop().await.success());
}
