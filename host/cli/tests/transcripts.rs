//! What is typed and what comes back, wherever no server is needed: each test has a home folder of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use micro_cli::{Input, ServerFlags, env::Environment, printer::Printer};
use tempfile::TempDir;

/// A terminal with a home folder, environment variables, and lines to answer prompts with.
struct Terminal {
    home: TempDir,
    variables: Vec<(String, String)>,
    input: String,
}

/// What a command line came to.
struct Done {
    code: ExitCode,
    out: String,
    err: String,
    server: Option<ServerFlags>,
}

impl Terminal {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let variables = vec![("HOME".to_owned(), home.path().display().to_string())];
        Self {
            home,
            variables,
            input: String::new(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn run(&self, words: &[&str]) -> Done {
        let args = ["micro"].iter().chain(words).map(OsString::from);
        let variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let environment = Environment::of(&variables, self.home.path());
        let (printer, out, err) = Printer::captured();
        let server = Arc::new(Mutex::new(None));
        let told = Arc::clone(&server);
        let code = micro_cli::run_with(
            args,
            &environment,
            &printer,
            Input::of(&self.input),
            move |flags| {
                *told.lock().unwrap() = Some(flags);
                ExitCode::SUCCESS
            },
        );
        let server = server.lock().unwrap().take();
        Done {
            code,
            out: out.text(),
            err: err.text(),
            server,
        }
    }

    /// The command says this on stdout, nothing on stderr, and ends with 0.
    fn says(&self, words: &[&str], out: &str) {
        let done = self.run(words);
        assert_eq!(
            (done.out.as_str(), done.err.as_str(), done.code),
            (out, "", ExitCode::SUCCESS),
            "{words:?}"
        );
    }

    /// The command says nothing on stdout, begins its stderr with this line, and ends with this code.
    fn fails(&self, words: &[&str], code: u8, message: &str) {
        let done = self.run(words);
        assert_eq!(
            (
                done.out.as_str(),
                done.err.lines().next().unwrap_or_default(),
                done.code
            ),
            ("", message, ExitCode::from(code)),
            "{words:?}"
        );
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.home.path().join(".micro").join(name)).unwrap()
    }
}

#[test]
fn without_a_command_there_is_a_pointer_to_the_help() {
    let terminal = Terminal::new();
    terminal.fails(
        &[],
        1,
        "No command provided to micro. Please refer to 'micro --help'",
    );
    terminal.says(
        &["--version"],
        &format!("micro version v{}\n", env!("CARGO_PKG_VERSION")),
    );
}

#[test]
fn help_is_printed_to_stdout() {
    let terminal = Terminal::new();
    let commands = [
        "call", "config", "env", "get", "health", "help", "kill", "login", "logout", "logs", "run",
        "server", "services", "stats", "status", "store", "stream", "update", "user",
    ];
    let whole = terminal.run(&["--help"]);
    assert_eq!(whole.code, ExitCode::SUCCESS);
    let places: Vec<usize> = commands
        .iter()
        .map(|command| whole.out.find(&format!("\n   {command} ")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{}", whole.out);
    for command in commands {
        for words in [[command, "--help"], [command, "-h"], ["help", command]] {
            let done = terminal.run(&words);
            assert_eq!(done.code, ExitCode::SUCCESS, "{words:?}");
            assert!(
                done.out.contains(&format!("micro {command} -")),
                "{}",
                done.out
            );
        }
    }
    assert!(
        terminal
            .run(&["env", "add", "--help"])
            .out
            .contains("micro env add -")
    );
    terminal.fails(
        &["help", "nosuch"],
        1,
        "Unrecognized micro command: nosuch. Please refer to 'micro --help'",
    );
}

#[test]
fn too_few_arguments_are_an_error_that_names_what_is_missing() {
    let terminal = Terminal::new();
    for (words, command, missing) in [
        (&["call", "helloworld"][..], "call", "SERVICE and ENDPOINT"),
        (&["config", "del"], "config del", "KEY"),
        (&["config", "get"], "config get", "KEY"),
        (&["config", "set"], "config set", "KEY and VALUE"),
        (&["config", "set", "k"], "config set", "VALUE"),
        (&["env", "set"], "env set", "NAME"),
        (&["env", "add"], "env add", "NAME and ADDRESS"),
        (&["env", "del"], "env del", "NAME"),
        (&["get", "service"], "get service", "NAME"),
        (&["kill"], "kill", "NAME"),
        (&["logs"], "logs", "NAME"),
        (&["run"], "run", "SOURCE"),
        (&["stats"], "stats", "NAME or --all"),
        (&["update"], "update", "SOURCE or NAME"),
        (&["stream", "helloworld"], "stream", "SERVICE and ENDPOINT"),
        (&["user", "config", "delete"], "user config delete", "KEY"),
        (&["user", "config", "get"], "user config get", "KEY"),
        (
            &["user", "config", "set", "a"],
            "user config set",
            "KEY and VALUE",
        ),
    ] {
        terminal.fails(
            words,
            1,
            &format!("micro {command} needs {missing}. Please refer to 'micro {command} --help'"),
        );
    }
    terminal.fails(&["health"], 128, "require service name");
    terminal.fails(&["store", "delete"], 1, "Key is required");
    terminal.fails(&["store", "read"], 1, "Key arg is required");
    terminal.fails(&["store", "list", "--prefix"], 1, "Key arg is required");
    terminal.fails(
        &["store", "write", "k"],
        1,
        "Key and Value args are required",
    );
    terminal.fails(
        &["store", "write", "--expiry=bad", "k", "v"],
        1,
        "Expiry flag is invalid: \"bad\" is no duration, such as 90s or 24h",
    );
    terminal.fails(&["config", "set", "", "x"], 1, "key required");
}

#[test]
fn a_group_of_commands_prints_its_help() {
    let terminal = Terminal::new();
    for words in [&["config"][..], &["get"], &["store"], &["user", "set"]] {
        let done = terminal.run(words);
        assert_eq!(done.code, ExitCode::SUCCESS, "{words:?}: {}", done.err);
        assert!(done.out.starts_with("NAME:\n   micro "), "{}", done.out);
    }
    for group in ["config", "get", "store"] {
        terminal.fails(
            &[group, "asdasd"],
            1,
            &format!(
                "Unrecognized subcommand for micro {group}: asdasd. Please refer to 'micro {group} --help'"
            ),
        );
    }
}

#[test]
fn environments_are_added_chosen_and_deleted() {
    let terminal = Terminal::new();
    terminal.says(
        &["env"],
        "* local      127.0.0.1:8081\n  dev        proxy.m3o.dev\n  platform   proxy.m3o.com\n",
    );
    terminal.says(&["env", "add", "foobar", "example.com"], "");
    terminal.says(&["env", "set", "foobar"], "");
    terminal.says(
        &["env"],
        "  local      127.0.0.1:8081\n  dev        proxy.m3o.dev\n  platform   proxy.m3o.com\n* foobar     example.com\n",
    );
    terminal.says(&["env", "get"], "foobar\n");
    terminal.says(&["-env", "dev", "env", "get"], "dev\n");
    terminal.fails(
        &["env", "set", "nosuch"],
        128,
        "Environment 'nosuch' does not exist",
    );
    terminal.fails(
        &["env", "del", "foobar"],
        128,
        "Environment 'foobar' is your current environment. Before deleting it, please change your current environment.",
    );
    terminal.says(&["env", "set", "local"], "");
    terminal.says(&["env", "del", "foobar"], "");
    terminal.fails(
        &["env", "del", "foobar"],
        128,
        "Environment 'foobar' does not exist",
    );
    for bad in ["", "a b", "a.b", "a/b", "-a", "*"] {
        let done = terminal.run(&["env", "add", "--", bad, "example.com:1"]);
        assert_eq!(done.code, ExitCode::from(1), "{bad}");
        assert!(done.err.contains("cannot be the name of an environment"));
    }
    terminal.fails(
        &["env", "add", "bad", "http://example.com"],
        1,
        "\"http://example.com\" is not an address: it has a scheme",
    );
    terminal.fails(
        &["env", "add", "bad", "example.com:0"],
        1,
        "\"example.com:0\" is not an address: its port is no number from 1 to 65535",
    );
    terminal.fails(
        &["env", "set", "bad"],
        128,
        "Environment 'bad' does not exist",
    );
    terminal.fails(
        &["env", "asdasd"],
        1,
        "Unrecognized subcommand for micro env: asdasd. Please refer to 'micro env --help'",
    );
    let folder = terminal.home.path().join(".micro");
    let mode = fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn the_config_file_is_what_other_versions_read() {
    let terminal = Terminal::new();
    terminal.says(&["env", "add", "foobar", "example.com:1"], "");
    let config: serde_json::Value = serde_json::from_str(&terminal.file("config.json")).unwrap();
    assert_eq!(config["env"], "local");
    let envs: serde_json::Value = serde_json::from_str(config["envs"].as_str().unwrap()).unwrap();
    assert_eq!(
        envs["foobar"],
        serde_json::json!({"Name": "foobar", "ProxyAddress": "example.com:1", "Description": ""})
    );
    let elsewhere = terminal.home.path().join("other.json");
    let elsewhere = elsewhere.to_str().unwrap();
    terminal.says(&["-c", elsewhere, "env", "set", "dev"], "");
    terminal.says(&["env", "get"], "local\n");
    let chosen = Terminal::new().with("MICRO_CONFIG_FILE", elsewhere);
    chosen.says(&["env", "get"], "dev\n");
    chosen.says(&["--env=local", "env", "get"], "local\n");
}

#[test]
fn the_user_has_a_namespace_and_a_config() {
    let terminal = Terminal::new();
    terminal.says(
        &["user", "config"],
        "user: n/a\nnamespace: n/a\nenvironment: local\ngit.credentials: n/a\ngit.baseurl: n/a\n",
    );
    terminal.says(&["user", "namespace"], "\n");
    terminal.says(&["user", "namespace", "set", "foo"], "");
    terminal.says(&["user", "namespace"], "foo\n");
    terminal.says(
        &["user", "config", "set", "git.credentials.github", "hush"],
        "",
    );
    terminal.says(
        &["user", "config"],
        "user: n/a\nnamespace: foo\nenvironment: local\ngit.credentials: [hidden]\ngit.baseurl: n/a\n",
    );
    terminal.says(
        &["user", "config", "get", "git.credentials.github"],
        "hush\n",
    );
    terminal.says(&["user", "config", "delete", "git.credentials.github"], "");
    terminal.says(&["user", "config", "get", "git.credentials.github"], "\n");
    terminal.fails(&["user", "namespace", "set"], 1, "No namespace specified");
    terminal.fails(
        &["user", "namespace", "set", "a/b"],
        1,
        "\"a/b\" cannot be a namespace: it has a space or a slash",
    );
    terminal.fails(&["user"], 1, "Not logged in");
    terminal.fails(&["user", "token"], 1, "Not logged in");
    terminal.says(&["logout"], "");
    terminal.fails(
        &["user", "asdasd"],
        1,
        "Unrecognized subcommand for micro user: asdasd. Please refer to 'micro user --help'",
    );
}

#[test]
fn a_server_that_is_down_is_named_with_a_hint() {
    // Bound and closed again: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let terminal = Terminal::new().with("MICRO_PROXY", &address);
    let message = format!("Failed to connect to micro server at {address}");
    for words in [
        &["services"][..],
        &["config", "get", "a"],
        &["get", "service", "a"],
        &["health", "a"],
        &["stats", "a"],
        &["status"],
        &["store", "databases"],
        &["store", "delete", "k"],
        &["store", "list"],
        &["store", "read", "k"],
        &["store", "tables"],
        &["store", "write", "k", "v"],
        &["stream", "a", "B.C"],
        &["update", "a"],
        &["logs", "helloworld"],
        &["kill", "helloworld"],
        &["login", "--username=admin", "--password=micro"],
        &["call", "helloworld", "Helloworld.Call", "{}"],
        &["helloworld", "--name=John"],
    ] {
        terminal.fails(words, 4, &message);
        let done = terminal.run(words);
        assert!(done.err.contains("hint: start it with `micro server`"));
        assert!(!done.err.contains("password"), "{}", done.err);
    }
    terminal.fails(
        &["--env=nosuch", "services"],
        1,
        "Env \"nosuch\" not found. See `micro env` for available environments",
    );
}

#[test]
fn prompts_are_shown_and_lines_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut terminal = Terminal::new().with("MICRO_PROXY", &address);
    terminal.input = "admin\nmicro\n".to_owned();
    let done = terminal.run(&["login"]);
    assert_eq!(done.out, "Enter username: Enter password: \n");
    assert!(done.err.starts_with("Failed to connect"), "{}", done.err);
    terminal.input = "admin\n".to_owned();
    let done = terminal.run(&["login"]);
    assert!(
        done.err
            .contains("The input ended before an answer to \"Enter password\""),
        "{}",
        done.err
    );
}

#[test]
fn a_call_is_checked_before_anything_is_sent() {
    let terminal = Terminal::new();
    let call = |request: &str| {
        let done = terminal.run(&["call", "helloworld", "Helloworld.Call", request]);
        assert_eq!(done.code, ExitCode::from(1));
        assert!(
            done.err.starts_with("Error creating request "),
            "{}",
            done.err
        );
    };
    call("{bad");
    call("[]");
    terminal.fails(
        &["call", "helloworld", "Call", "{}"],
        3,
        "Method name \"Call\" invalid format. Expecting service.endpoint",
    );
    terminal.fails(
        &["call", "--request_timeout=soon", "helloworld", "A.B"],
        2,
        "Invalid format for request_timeout duration. Try 500ms or 5s",
    );
    terminal.fails(
        &["helloworld", "--=x"],
        128,
        "Invalid flag: --=x. Expected format: --foo=bar",
    );
}

#[test]
fn run_says_what_it_cannot_run() {
    let terminal = Terminal::new();
    terminal.fails(&["run", ""], 1, "SOURCE is empty");
    terminal.fails(
        &["run", "./nosuch"],
        1,
        "There is no folder or file ./nosuch",
    );
    terminal.fails(
        &["run", "github.com/micro/services/helloworld"],
        1,
        "github.com/micro/services/helloworld is no folder or file here, and running from a git repository is not built yet",
    );
    terminal.fails(
        &["run", "--nosuch", "."],
        1,
        "Unknown flag for micro run: --nosuch. Please refer to 'micro run --help'",
    );
    let done = terminal.run(&["run", ".", "--namespace=foo"]);
    assert!(
        done.err
            .contains("hint: --namespace stands before the command"),
        "{}",
        done.err
    );
    terminal.fails(&["run", ".", "--name"], 1, "--name needs a value");
}

#[test]
fn an_executable_on_the_path_is_a_command() {
    let terminal = Terminal::new();
    let program = terminal.home.path().join("micro-greet");
    fs::write(&program, "#!/bin/sh\n[ \"$1\" = --loud ] && exit 7\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = terminal.home.path().display().to_string();
    let terminal = terminal.with("PATH", &path);
    assert_eq!(terminal.run(&["greet", "--loud"]).code, ExitCode::from(7));
}

#[test]
fn the_server_is_told_what_flags_and_variables_say() {
    let terminal = Terminal::new();
    let told = |terminal: &Terminal, words: &[&str]| {
        let done = terminal.run(words);
        done.server.unwrap_or_else(|| panic!("{}", done.err))
    };
    let flags = told(&terminal, &["server"]);
    assert_eq!(flags.profile, "local");
    assert_eq!(flags.api_address.to_string(), "127.0.0.1:8080");
    assert_eq!(flags.proxy_address.to_string(), "127.0.0.1:8081");
    assert_eq!(flags.network_address.to_string(), "127.0.0.1:8443");
    assert_eq!(flags.home, terminal.home.path());
    assert_eq!(flags.state, terminal.home.path().join(".micro/server"));
    assert_eq!(flags.build_cache, flags.state.join("build"));
    assert_eq!(flags.build_timeout, Duration::from_secs(1800));

    let terminal = Terminal::new()
        .with("MICRO_PROFILE", "test")
        .with("MICRO_PROXY", "10.0.0.1:1")
        .with("MICRO_PROXY_ADDRESS", "127.0.0.1:0")
        .with("MICRO_STATE", "/state")
        .with("MICRO_PLUGIN_PATH", "/a:/b")
        .with("MICRO_AUTH_PRIVATE_KEY", "hush")
        .with("MICRO_AUTH_DISABLE_ADMIN", "true")
        .with("MICRO_API_ALLOWED_ORIGINS", "https://a,https://b");
    let flags = told(&terminal, &["server", "-api_address", ":0"]);
    assert_eq!(flags.profile, "test");
    assert_eq!(flags.api_address.to_string(), "127.0.0.1:0");
    assert_eq!(flags.proxy_address.to_string(), "127.0.0.1:0");
    assert_eq!(flags.build_cache, Path::new("/state/build"));
    assert_eq!(flags.plugin_path, [Path::new("/a"), Path::new("/b")]);
    assert_eq!(flags.allowed_origins, ["https://a", "https://b"]);
    assert!(flags.disable_admin);
    assert!(flags.auth_private_key.is_some());
    assert!(!format!("{flags:?}").contains("hush"));
    assert_eq!(told(&terminal, &["--profile=x", "server"]).profile, "x");
    assert_eq!(told(&terminal, &["server", "--profile=y"]).profile, "y");

    let done = terminal.run(&["server", "now"]);
    assert_eq!(done.code, ExitCode::from(1));
    assert!(done.out.contains("micro server -"));
    terminal.fails(
        &["--proxy_address=1.2.3.4:5", "server"],
        1,
        "--proxy_address before `server` says where commands call, which a server does not",
    );
    terminal.fails(
        &["server", "--api_address=nowhere"],
        1,
        "--api_address is not an address: \"nowhere\"",
    );
}

#[test]
fn environments_that_cannot_be_reached_yet_say_so() {
    let terminal = Terminal::new();
    terminal.fails(
        &["--env=platform", "services"],
        1,
        "Environment platform is at proxy.m3o.com, which is reached over TLS, and that is not built yet",
    );
    terminal.says(&["env", "add", "empty"], "");
    terminal.fails(
        &["--env=empty", "services"],
        1,
        "Environment empty has no address",
    );
}
