//! The life of a service's process as the platform sees it: started with an account, ready once it
//! is registered and well, told of when it dies, and cleaned up after. That it is started again is
//! the runtime module's work; here it is only watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use micro_access::ServiceAccount;
use micro_builder::Artifact;
use micro_plugin_api::{
    Code,
    registry::Service as Registered,
    runtime::{Backoff, Instance, RestartPolicy, RestartWhen, Spec, StopOptions},
};
use secrecy::ExposeSecret;

use super::{
    health::Check,
    observe::{self, Output, Seen, States},
    record::Record,
    run::{End, Task, failed},
    status::Status,
};

/// How long a node stays registered that the server registered again for a service it took over:
/// until then the service does so itself.
const TAKEN_OVER: Duration = Duration::from_secs(90);

/// What is held while a process runs.
struct Process {
    /// The nodes that were registered before it started.
    before: BTreeSet<String>,
    artifact: Artifact,
    env: BTreeMap<String, String>,
    output: Output,
}

/// What is known of a service while it is watched.
struct Watched {
    /// Whether it has been ready, now or with an earlier server: then it is worth waiting for.
    has_been_ready: bool,
    registered: Vec<Registered>,
}

impl Task {
    /// From the first start of a process to its end. Nothing of it is left when this returns.
    pub(crate) async fn live(&self, artifact: Artifact) -> End {
        self.start_and_watch(artifact, false).await
    }

    /// The same for a service that an earlier server ran.
    pub(crate) async fn live_again(&self, artifact: Artifact) -> End {
        // Of a process whose server died, it is not known whether it can be gone on with.
        self.stop_process().await;
        self.start_and_watch(artifact, true).await
    }

    /// From the adoption of a process that runs to its end.
    pub(crate) async fn live_on(&self, artifact: Artifact, record: &Record) -> End {
        self.this.journal.status(Status::Starting, "", Vec::new());
        let process = Process {
            before: BTreeSet::new(),
            artifact,
            // It has its own; this one is for health commands.
            env: self.environment(None),
            output: Output::open(&self.inner.modules, &self.call, &self.key).await,
        };
        // The registry may have forgotten it with the server's end.
        for service in &record.registered {
            self.register_again(&process, service).await;
        }
        let mut watched = Watched {
            has_been_ready: true,
            registered: record.registered.clone(),
        };
        let end = self.watch_over(&process, &mut watched).await;
        self.stop(&process, &watched).await;
        end
    }

    async fn start_and_watch(&self, artifact: Artifact, has_been_ready: bool) -> End {
        if self.this.cancel.is_cancelled() {
            return End::Cancelled;
        }
        self.status(Status::Starting).await;
        let process = match self.prepare(artifact).await {
            Ok(prepared) => prepared,
            Err(reason) => {
                self.revoke().await;
                return failed(reason);
            }
        };
        let mut watched = Watched {
            has_been_ready,
            registered: Vec::new(),
        };
        let mut end = match self.start(&process).await {
            Ok(()) => self.watch_over(&process, &mut watched).await,
            Err(reason) => failed(reason),
        };
        self.stop(&process, &watched).await;
        if let End::Failed { output, .. } = &mut end {
            let modules = &self.inner.modules;
            *output = process.output.last(modules, &self.call, &self.key).await;
        }
        end
    }

    async fn prepare(&self, artifact: Artifact) -> Result<Process, String> {
        let key = &self.key;
        let modules = &self.inner.modules;
        let accounts = self.inner.access.accounts();
        let account = accounts.create_service_account(&key.namespace, &key.name, &key.version);
        let account = account
            .await
            .map_err(|error| format!("it got no account: {error}"))?;
        let before = observe::nodes(modules, &self.call, key).await;
        let before = before.map_err(|error| format!("the registry cannot be read: {error}"))?;
        Ok(Process {
            before: before.into_iter().map(|node| node.id).collect(),
            artifact,
            env: self.environment(Some(&account)),
            output: Output::open(modules, &self.call, key).await,
        })
    }

    /// The whole environment of the service.
    fn environment(&self, account: Option<&ServiceAccount>) -> BTreeMap<String, String> {
        let key = &self.key;
        let config = &self.inner.config;
        let address = config.service_address();
        let own = [
            ("MICRO_PROFILE", "service"),
            ("MICRO_SERVICE_NAME", &key.name),
            ("MICRO_SERVICE_VERSION", &key.version),
            ("MICRO_SERVICE_ADDRESS", &address),
            ("MICRO_PROXY", &config.network_address),
            ("MICRO_NAMESPACE", &key.namespace),
        ];
        let mut env: BTreeMap<_, _> = own
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        if let Some(account) = account {
            env.insert("MICRO_AUTH_ID".to_owned(), account.id.clone());
            let secret = account.secret.expose_secret().to_owned();
            env.insert("MICRO_AUTH_SECRET".to_owned(), secret);
        }
        if let Some(path) = config.toolchain.variables().get("PATH") {
            env.insert("PATH".to_owned(), path.clone());
        }
        env.extend(self.plan.env.clone());
        env
    }

    /// Not to be cancelled half way: a start whose caller is gone could still come about.
    async fn start(&self, process: &Process) -> Result<(), String> {
        let command = if self.plan.command.is_empty() {
            &process.artifact.command
        } else {
            &self.plan.command
        };
        let spec = Spec {
            key: self.key.clone(),
            command: command
                .iter()
                .chain(&self.plan.arguments)
                .cloned()
                .collect(),
            folder: process.artifact.folder.clone(),
            env: process.env.clone(),
            run: self.this.id.clone(),
            // A service is there to be called: that it ended well does not help who calls it.
            restart: RestartPolicy {
                when: RestartWhen::Always,
                ..RestartPolicy::default()
            },
        };
        let platform = &self.inner.config.network_address;
        self.record(|record| record.platform.clone_from(platform))
            .await;
        let started = self.inner.modules.runtime().start(&self.call, &spec).await;
        started
            .map(drop)
            .map_err(|error| error.message().to_owned())
    }

    /// Tells how the service is, until it ends for good.
    async fn watch_over(&self, process: &Process, watched: &mut Watched) -> End {
        let mut states = States::new(&self.inner.modules, &self.call, &self.key);
        let mut next = self.next(&mut states).await;
        loop {
            next = match next {
                Err(end) => return end,
                Ok(Seen::Waiting(backoff, restarts)) => {
                    self.died(process, watched, &backoff, restarts).await;
                    self.next(&mut states).await
                }
                Ok(Seen::Running) => match self.wait_ready(process, watched, &mut states).await {
                    Some(next) => next,
                    None => {
                        self.ready(process, watched).await;
                        self.next(&mut states).await
                    }
                },
                Ok(Seen::Gone(how)) => return failed(how),
            };
        }
    }

    async fn next(&self, states: &mut States<'_>) -> Result<Seen, End> {
        tokio::select! {
            biased;
            () = self.this.cancel.cancelled() => Err(End::Cancelled),
            seen = states.next() => Ok(seen),
        }
    }

    /// Waits until a process that runs is well; `None` when it is. What else comes is given back.
    async fn wait_ready(
        &self,
        process: &Process,
        watched: &mut Watched,
        states: &mut States<'_>,
    ) -> Option<Result<Seen, End>> {
        let mut problem = "it did not register".to_owned();
        let check = check(process);
        let modules = &self.inner.modules;
        let before = &process.before;
        let timeout = self.plan.start_timeout;
        let is_ready = tokio::select! {
            biased;
            next = self.next(states) => return Some(next),
            ready = tokio::time::timeout(
                timeout,
                observe::ready(modules, &self.call, &self.key, before, &mut problem, &check),
            ) => ready.is_ok(),
        };
        if is_ready {
            return None;
        }
        let seconds = timeout.as_secs_f64();
        let reason = format!("not ready within {seconds} s: {problem}");
        if !watched.has_been_ready {
            return Some(Err(failed(reason)));
        }
        // It was well once, so it may become so again.
        self.trouble(&reason, None, Vec::new()).await;
        tokio::select! {
            biased;
            next = self.next(states) => Some(next),
            () = observe::ready(modules, &self.call, &self.key, before, &mut problem, &check) => None,
        }
    }

    async fn ready(&self, process: &Process, watched: &mut Watched) {
        let found = observe::services(&self.inner.modules, &self.call, &self.key).await;
        if let Ok(mut services) = found {
            for service in &mut services {
                service
                    .nodes
                    .retain(|node| !process.before.contains(&node.id));
            }
            services.retain(|service| !service.nodes.is_empty());
            watched.registered = services;
        }
        watched.has_been_ready = true;
        let registered = &watched.registered;
        let change = |record: &mut Record| {
            record.status = Status::Running;
            record.error = String::new();
            record.retry_at = None;
            record.registered.clone_from(registered);
        };
        if self.record(change).await {
            self.this.journal.status(Status::Running, "", Vec::new());
        }
    }

    /// Tells of a death that another start follows, and takes away the nodes of the dead.
    async fn died(
        &self,
        process: &Process,
        watched: &mut Watched,
        backoff: &Backoff,
        restarts: u32,
    ) {
        let modules = &self.inner.modules;
        let output = process.output.last(modules, &self.call, &self.key).await;
        let registered = std::mem::take(&mut watched.registered);
        observe::deregister_all(modules, &self.call, &registered).await;
        let mut reason = backoff.exit.to_string();
        match restarts {
            0 => {}
            1 => reason.push_str(", restarted once"),
            times => reason.push_str(&format!(", restarted {times} times")),
        }
        if backoff.crash_loop {
            reason.insert_str(0, "crash loop: ");
        }
        tracing::info!(service = %self.key, %reason, "a service died");
        self.trouble(&reason, Some(backoff.until), output).await;
    }

    async fn trouble(&self, reason: &str, retry_at: Option<u64>, output: Vec<String>) {
        let change = |record: &mut Record| {
            record.status = Status::Error;
            record.error = reason.to_owned();
            record.retry_at = retry_at;
        };
        if self.record(change).await {
            self.this.journal.status(Status::Error, reason, output);
        }
    }

    /// Registers the nodes of an adopted service that are well, as it will do itself before long.
    async fn register_again(&self, process: &Process, service: &Registered) {
        let check = check(process);
        for node in &service.nodes {
            if check.ask(node).await.is_err() {
                continue;
            }
            let service = Registered {
                nodes: vec![node.clone()],
                ..service.clone()
            };
            let registry = self.inner.modules.registry();
            let registered = registry.register(&self.call, &service, Some(TAKEN_OVER));
            if let Err(error) = registered.await {
                tracing::warn!(service = %self.key, %error, "cannot register a service again");
            }
        }
    }

    /// Ends the process, and takes away what it had: nodes and account.
    async fn stop(&self, process: &Process, watched: &Watched) {
        let (modules, key) = (&self.inner.modules, &self.key);
        if self.this.is_lost() {
            // Where servers share a runtime too, what runs there may be the other's already.
            let instances = modules.runtime().list(&self.call, None).await;
            let is_own = |it: &Instance| it.key == *key && it.run == self.this.id;
            if instances.is_ok_and(|all| all.iter().any(is_own)) {
                self.stop_process().await;
            }
            observe::deregister_all(modules, &self.call, &watched.registered).await;
            return;
        }
        self.stop_process().await;
        let gone = observe::deregister(modules, &self.call, key, &process.before).await;
        if let Err(error) = gone {
            tracing::warn!(service = %key, %error, "cannot deregister a service");
        }
        self.revoke().await;
    }

    async fn stop_process(&self) {
        let options = StopOptions {
            grace_ms: self.inner.config.stop_grace.as_millis() as u64,
        };
        let runtime = self.inner.modules.runtime();
        match runtime.stop(&self.call, &self.key, &options).await {
            Err(error) if error.code() != Code::NOT_FOUND => {
                tracing::error!(service = %self.key, %error, "cannot stop a service");
            }
            _ => {}
        }
    }

    async fn revoke(&self) {
        if self.this.is_lost() {
            return;
        }
        let key = &self.key;
        let accounts = self.inner.access.accounts();
        let revoked = accounts.revoke_service_account(&key.namespace, &key.name, &key.version);
        if let Err(error) = revoked.await {
            tracing::error!(service = %key, %error, "cannot revoke the account of a service");
        }
    }
}

fn check(process: &Process) -> Check<'_> {
    match &process.artifact.health {
        Some(words) => Check::Command {
            words,
            folder: &process.artifact.folder,
            env: &process.env,
        },
        None => Check::Call,
    }
}
