//! A server's life: how it starts, what it says when it cannot, and how it ends. Under `test`, since it is
//! the same whatever the backends are.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, SystemTime},
};

use micro_tests::{PATIENCE, Ran, Running, Server, ServerBuilder, wait_for};
use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// A server that logs what went wrong, and nothing else.
fn new_server(profile: &str) -> ServerBuilder {
    ServerBuilder::new(profile).env("MICRO_LOG_LEVEL", "info")
}

/// A server of a manifest with this text.
fn server_of(manifest: &str) -> ServerBuilder {
    let builder = new_server("");
    let path = builder.write("mine.toml", manifest);
    builder.profile(path)
}

/// What a server that cannot start said: exit code 1 and one line, with the home folder as `HOME`.
#[track_caller]
fn refusal(builder: &ServerBuilder) -> String {
    let [line] = &refusals(builder)[..] else {
        panic!("not one line");
    };
    line.clone()
}

/// Likewise, in any number of lines.
#[track_caller]
fn refusals(builder: &ServerBuilder) -> Vec<String> {
    let Ran {
        code,
        stdout,
        stderr,
    } = builder.fail();
    let line = stderr.replace(&builder.home().display().to_string(), "HOME");
    assert_eq!(code, Some(1), "{line}{stdout}");
    assert_eq!(stdout, "");
    line.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_server_serves_and_tells_where() {
    let server = Server::start("test").await;
    assert_eq!(
        server.get("/").await.text(),
        r#"{"version": "v3.0.0-beta"}"#
    );
    assert_eq!(server.get("/healthz").await.status, 200);
    let ready = server.get("/readyz").await;
    assert_eq!(ready.text(), r#"{"ready":true,"unready":[]}"#);

    let said = format!(
        "api      http://{}\nproxy    {}\nnetwork  {}\n",
        server.api(),
        server.proxy(),
        server.network()
    );
    let log = server.log();
    assert!(log.contains(&said), "{log}");

    let state = server.home().join(".micro/server");
    let mode = fs::metadata(state).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn core_services_are_in_the_registry_at_the_network_door() {
    let server = Server::start("test").await;
    let names = [
        "api", "auth", "broker", "config", "events", "network", "proxy", "registry", "runtime",
        "store",
    ];
    let list = server.get("/registry/listServices").await.json().unwrap();
    let listed: Vec<_> = list["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    assert_eq!(listed, names);
    let mut servers = Vec::new();
    for name in names {
        let path = format!("/registry/getService?service={name}");
        let answer = server.get(&path).await.json().unwrap();
        let service = &answer["services"][0];
        assert_eq!(service["version"], "latest", "{name}");
        let nodes = service["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 1, "{name}");
        assert_eq!(nodes[0]["address"], server.network().to_string());
        let id = nodes[0]["id"].as_str().unwrap();
        servers.push(id.strip_prefix(&format!("{name}-")).unwrap().to_owned());
        let endpoints = service["endpoints"].as_array().unwrap();
        // A door has none of its own: `Debug`, which every service serves, is not advertised.
        let door = ["api", "network", "proxy"].contains(&name);
        assert_eq!(endpoints.is_empty(), door, "{name}");
    }
    servers.dedup();
    assert_eq!(servers.len(), 1, "one server has one id");
}

#[tokio::test]
async fn an_address_is_not_shared_with_a_second_server() {
    let server = Server::start("test").await;
    for (door, flag, address) in [
        ("MICRO_API_ADDRESS", "api_address", server.api()),
        ("MICRO_PROXY_ADDRESS", "proxy_address", server.proxy()),
        ("MICRO_NETWORK_ADDRESS", "network_address", server.network()),
    ] {
        let second = new_server("test").env(door, address.to_string());
        assert_eq!(
            refusal(&second),
            format!("{address} is in use; stop that process or set --{flag}")
        );
    }
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_state_folder_is_not_shared_with_a_second_server() {
    let mut server = Server::start("test").await;
    let pid = server.process().pid();
    let state = server.home().join(".micro/server");
    let second = new_server("test").env("MICRO_STATE", &state);
    assert_eq!(
        refusal(&second),
        format!(
            "the state folder {} is in use by another server (process {pid}); stop that one or set --state",
            state.display()
        )
    );
}

#[tokio::test]
async fn readyz_names_the_module_that_is_not_well_and_what_depends_on_it() {
    let cases = [
        ("fail", "plugin zoo: the zoo's keeper cannot be reached"),
        (
            "hang",
            "plugin zoo: its health check did not answer within 3 s",
        ),
    ];
    for (health, reason) in cases {
        let server = server_of(&format!(
            "extends = 'test'\n[runtime]\nplugin = 'zoo'\nhealth = '{health}'\n"
        ))
        .serve()
        .await;
        let answer = server.get("/readyz").await;
        assert_eq!(answer.status, 503);
        let report = answer.json().unwrap();
        assert_eq!(report["ready"], false);
        let unready = report["unready"].as_array().unwrap();
        let part = |kind: &str| {
            let mut of_kind = unready.iter().filter(|part| part["kind"] == kind);
            (of_kind.next().unwrap(), of_kind.next())
        };
        let (module, none) = part("module");
        assert_eq!((&module["name"], none), (&"runtime".into(), None));
        assert_eq!(module["reason"], reason);
        let (service, none) = part("service");
        assert_eq!((&service["name"], none), (&"runtime".into(), None));

        // It lives, and what does not need the runtime works.
        assert_eq!(server.get("/healthz").await.status, 200);
        assert_eq!(server.get("/registry/listServices").await.status, 200);
    }
}

#[tokio::test]
async fn a_signal_ends_it_after_what_is_in_flight() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start("test").await;
        let mut connection = TcpStream::connect(server.api()).await.unwrap();
        let body = r#"{"options": {}}"#;
        let (head, tail) = body.split_at(5);
        let request = format!(
            "POST /registry/listServices HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{head}",
            body.len()
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        // The request has arrived once a later one has been answered on another connection to
        // every listener.
        for _ in 0..16 {
            server.get("/healthz").await;
        }
        server.process().signal(signal);
        wait_for("the door to close", || async {
            TcpStream::connect(server.api()).await.err()
        })
        .await;
        assert_eq!(server.process().status(), None, "it waits for the request");
        connection.write_all(tail.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let status = server.process().wait(PATIENCE).unwrap();
        assert_eq!(status.code(), Some(0), "{}", server.log());
        assert!(!server.home().join("addresses.json").exists());
    }
}

#[tokio::test]
async fn the_services_that_it_runs_end_with_it() {
    let builder = new_server("test");
    let pid_file = builder.home().join("pid");
    let script = format!(
        "#!/bin/sh\necho $$ > {}\nexec sleep 600\n",
        pid_file.display()
    );
    let program = builder.write("sleeper/sleeper", &script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut server = builder.start().await;
    server.login().await;
    let folder = program.parent().unwrap().display().to_string();
    let mut run = Running::spawn(&mut server.command(["run".to_owned(), folder]));
    let pid = wait_for("the service to start", || async {
        let pid = fs::read_to_string(&pid_file).ok()?;
        pid.trim().parse().ok().map(Pid::from_raw)
    })
    .await;
    assert_eq!(kill(pid, None), Ok(()), "it runs");
    assert_eq!(server.stop().await.code(), Some(0));
    assert_eq!(kill(pid, None), Err(Errno::ESRCH), "it has ended");
    let status = run.wait(PATIENCE).unwrap();
    assert_ne!(status.code(), Some(0), "it never became ready");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = server_of("extends = 'test'\n[runtime]\nplugin = 'zoo'\nshutdown = 'hang'\n")
        .serve()
        .await;
    server.process().signal(Signal::SIGTERM);
    wait_for("the server to stop", || async {
        server.log().contains("stopping").then_some(())
    })
    .await;
    server.process().signal(Signal::SIGTERM);
    let status = server.process().wait(PATIENCE).unwrap();
    // A stop that is waited for ends with 0.
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn a_module_that_does_not_close_is_left_behind() {
    let mut server = server_of("extends = 'test'\n[blob]\nplugin = 'zoo'\nshutdown = 'panic'\n")
        .serve()
        .await;
    assert_eq!(server.stop().await.code(), Some(0));
    let log = server.log();
    assert!(
        log.contains("cannot close cleanly") && log.contains("zoo"),
        "{log}"
    );
}

#[test]
fn a_profile_that_cannot_be_loaded_is_one_line() {
    assert_eq!(
        refusal(&new_server("client")),
        "profile `client` is reserved for command lines and services, which load no plugins; start \
         a server with another one, such as `local`"
    );
    let unknown = refusal(&new_server("nowhere"));
    assert!(
        unknown.starts_with(
            "profile `nowhere` not found; looked for nowhere.toml in HOME/.micro/profiles"
        ),
        "{unknown}"
    );
    assert_eq!(
        refusal(&server_of(
            "extends = 'test'\n[runtime]\nplugin = '${NOT_SET}'\n"
        )),
        "HOME/mine.toml:3: runtime.plugin: environment variable NOT_SET is not set; set it, or \
         give a default as ${NOT_SET:-…}"
    );
    assert_eq!(
        refusal(&server_of("extends = 'test'\n[queue]\nplugin = 'memory'\n")),
        "HOME/mine.toml:2: unknown key `queue`; a profile has extends, store, blob, stream, \
         broker, registry, runtime, plugins and server"
    );
}

#[test]
fn a_plugin_that_cannot_be_opened_is_one_line_with_file_line_and_key() {
    let missing = refusals(&server_of("[store]\nplugin = 'memory'\n"));
    assert_eq!(
        missing.first().map(String::as_str),
        Some(
            "profile HOME/mine.toml has no plugin for the module `blob`; add `[blob]` with a \
             `plugin` to HOME/mine.toml, or extend a profile that has one"
        )
    );
    for (line, module) in missing.iter().zip(["blob", "registry", "runtime"]) {
        assert!(line.contains(&format!("`{module}`")), "{line}");
    }
    assert_eq!(missing.len(), 3);
    for (text, start, end) in [
        (
            "extends = 'test'\n\n[store]\nplugin = 'memory'\nsize = 3\n",
            "HOME/mine.toml:5: store.size: unknown setting; there are ",
            "",
        ),
        (
            "extends = 'test'\n[store]\nplugin = 'zoo'\n\nslow_ms = 'long'\n",
            "HOME/mine.toml:5: store.slow_ms: must be an integer, not a string",
            "",
        ),
        (
            "extends = 'test'\n[store]\nplugin = 'unknown'\n",
            "HOME/mine.toml:3: store: plugin unknown: ",
            "",
        ),
        (
            "extends = 'test'\n[runtime]\nplugin = 'memory'\n",
            "HOME/mine.toml:3: plugin memory has no module `runtime`; it offers ",
            "store, blob, stream, broker, registry",
        ),
        (
            "extends = 'test'\n[store]\nplugin = 'zoo'\nopen = 'panic'\n",
            "HOME/mine.toml:3: store: plugin zoo: panicked while it opened (",
            "",
        ),
        (
            "extends = 'test'\n[store]\nplugin = 'zoo'\nopen = 'hang'\n",
            "HOME/mine.toml:3: store: plugin zoo: not open after 30 s; ",
            "",
        ),
    ] {
        // A panic is in the log too.
        let line = refusal(&server_of(text).env("MICRO_LOG_LEVEL", "off"));
        assert!(line.starts_with(start) && line.ends_with(end), "{line}");
    }
    let zeros = "0".repeat(64);
    let pinned = format!("extends = 'test'\n[plugins.memory]\nsha256 = '{zeros}'\n");
    let line = refusal(&server_of(&pinned));
    let start = "built-in profile test:5: store: plugin memory: the sha256 of ";
    assert!(line.starts_with(start) && line.contains(&zeros), "{line}");
}

/// Modules are opened beside each other, and all that fail are named.
#[test]
fn a_module_that_hangs_keeps_no_other_from_being_opened() {
    let builder = new_server("").env("MICRO_LOG_LEVEL", "off");
    let journal = builder.home().join("journal");
    let text = format!(
        "extends = 'test'\n[store]\nplugin = 'zoo'\nopen = 'hang'\n[blob]\nplugin = \
         'zoo'\njournal = {journal:?}\n[registry]\nplugin = 'zoo'\nopen = 'fail'\n"
    );
    let path = builder.write("mine.toml", &text);
    let builder = builder.profile(path);
    let lines = refusals(&builder);
    let starts = [
        "HOME/mine.toml:3: store: plugin zoo: not open after 30 s; ",
        "HOME/mine.toml:9: registry: plugin zoo: cannot open: ",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    // It was opened, and closed again.
    let did = fs::read_to_string(journal).unwrap();
    assert!(did.starts_with("opened for zoo\n"), "{did}");
    assert!(did.contains("dropped"), "{did}");
}

/// Copies of builds that nobody loads any more go, and those that are loaded stay.
#[tokio::test]
async fn old_copies_of_plugins_are_removed() {
    let builder = new_server("test");
    let copies = ".micro/server/cache/plugins";
    let old = builder.write(&format!("{copies}/{}.so", "0".repeat(64)), "");
    let file = fs::File::options().write(true).open(&old).unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(24 * 3_600);
    file.set_modified(yesterday).unwrap();
    let recent = builder.write(&format!("{copies}/{}.so", "1".repeat(64)), "");
    let server = builder.serve().await;
    assert!(!old.exists());
    assert!(recent.exists());
    let copies = fs::read_dir(server.home().join(copies)).unwrap();
    let libraries = copies.filter(|copy| copy.as_ref().unwrap().path().extension().is_some());
    // The one above, and the two of the profile.
    assert_eq!(libraries.count(), 3);
}

#[test]
fn other_things_that_keep_a_server_from_starting() {
    let builder = new_server("test").env("MICRO_LOG_LEVEL", "loud");
    assert_eq!(
        refusal(&builder),
        "log level `loud` is not one: use trace, debug, info, warn, error or off, or a list such \
         as `info,micro_route=debug`"
    );
    let builder = new_server("test");
    let file = builder.write("file", "");
    let line = refusal(&builder.env("MICRO_STATE", file.join("state")));
    assert!(
        line.starts_with("cannot make the state folder HOME/file/state: "),
        "{line}"
    );
    let builder = new_server("test").env("MICRO_AUTH_PRIVATE_KEY", "hush-hush");
    let line = refusal(&builder);
    assert!(
        line.contains("MICRO_AUTH_PRIVATE_KEY") && !line.contains("hush"),
        "{line}"
    );
}
