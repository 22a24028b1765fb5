//! A private PostgreSQL.

use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::unistd::{Uid, User};
use tokio::{process::Command, sync::OnceCell, time::timeout};

use crate::{
    Certificates, Error, Program,
    backend::{Backend, expect, starts},
    error::Doing as _,
    folder::Folder,
    port,
    server::{Launch, Ready, Server},
    shared, unique,
    wait::PATIENCE,
};

/// The superuser of the server, whatever user of the machine runs it.
const SUPERUSER: &str = "postgres";

/// How many clients it lets in at once: every test has a pool.
const CONNECTIONS: usize = 500;

/// A PostgreSQL server, whose superuser is `postgres`.
pub type Postgres = Backend<Socket>;

/// What a PostgreSQL is to be. By default it speaks plain text and asks for no password.
#[derive(Clone, Debug, Default)]
pub struct PostgresBuilder {
    tls: bool,
    client_certificates: bool,
    password: Option<String>,
    settings: Vec<(String, String)>,
}

/// The socket by which a server is asked whether it serves, without a password.
#[derive(Debug)]
pub struct Socket {
    psql: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Ready for Socket {
    async fn ready(&self) -> bool {
        execute(self.psql(), "select 1").await.is_ok()
    }
}

impl Socket {
    fn psql(&self) -> Command {
        let mut command = Command::new(&self.psql);
        command.arg("--host").arg(&self.folder);
        command.args(["--port", &self.port.to_string(), "--username", SUPERUSER]);
        command
    }
}

impl Postgres {
    /// The one of the test run: `MICRO_TEST_POSTGRES`, or else one that this process starts.
    ///
    /// # Panics
    /// If it cannot be started, saying why and what to install.
    pub async fn shared() -> &'static Self {
        static CELL: OnceCell<Postgres> = OnceCell::const_new();
        Self::once(&CELL, shared::POSTGRES, Self::builder().try_start()).await
    }

    /// One of the test's own, with nothing in it.
    ///
    /// # Panics
    /// If it cannot be started, saying why and what to install.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One of the test's own, with options.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// The URL of one of its databases, of which `postgres` is always there:
    /// `postgres://postgres@127.0.0.1:PORT/DATABASE`. With a password it has that; with TLS it
    /// says `sslmode=verify-full`, and which authority to trust.
    pub fn url(&self, database: &str) -> String {
        let mut url = format!("{}/{database}", self.address);
        if let Some(tls) = &self.certificates {
            url.push_str("?sslmode=verify-full&sslrootcert=");
            url.push_str(&tls.ca.to_string_lossy());
        }
        url
    }

    /// Makes a new database, and returns its name, which begins with `prefix`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn database(&self, prefix: &str) -> String {
        let name = unique(prefix);
        let make = async {
            let psql = match self.ready() {
                Some(socket) => socket.psql(),
                None => {
                    let postgres = Program::Postgres.find()?;
                    let mut command = Command::new(postgres.with_file_name("psql"));
                    command.arg(self.url(SUPERUSER));
                    command
                }
            };
            // Of template0, which nobody is connected to.
            execute(psql, &format!("create database {name} template template0")).await
        };
        expect(make.await);
        name
    }
}

starts!(PostgresBuilder => Postgres);

impl PostgresBuilder {
    /// Clients come by TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Clients come by TLS, and show a certificate.
    #[must_use]
    pub fn client_certificates(mut self) -> Self {
        self.client_certificates = true;
        self.tls()
    }

    /// The user `postgres` has this password (of letters and digits), and is asked for it.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Gives a setting of `postgresql.conf` another value.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    async fn launch(&self) -> Result<Postgres, Error> {
        let program = Program::Postgres.find()?;
        let user = unprivileged()?;
        let folder = Folder::new("postgres")?;
        let data = folder.make("data", user.as_ref())?;
        let sockets = folder.make("sockets", user.as_ref())?;
        let certificates = self
            .tls
            .then(|| Certificates::make(&folder, user.as_ref()))
            .transpose()?;
        let initdb = program.with_file_name("initdb");
        self.init(&initdb, &folder, &data, user.as_ref()).await?;
        let access = folder.write("pg_hba.conf", &self.access(), user.as_ref())?;
        let port = port::free();

        let mut settings = vec![
            ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
            ("port".to_owned(), port.to_string()),
            ("unix_socket_directories".to_owned(), text(&sockets)),
            ("hba_file".to_owned(), text(&access)),
            ("max_connections".to_owned(), CONNECTIONS.to_string()),
            // What a crash of the machine would lose, a crash of the server does not.
            ("fsync".to_owned(), "off".to_owned()),
        ];
        if let Some(tls) = &certificates {
            let (cert, key) = tls.server();
            settings.extend([
                ("ssl".to_owned(), "on".to_owned()),
                ("ssl_cert_file".to_owned(), text(cert)),
                ("ssl_key_file".to_owned(), text(key)),
                ("ssl_ca_file".to_owned(), text(&tls.ca)),
            ]);
        }
        settings.extend(self.settings.iter().cloned());
        let mut args = vec!["-D".into(), data.clone().into()];
        for (name, value) in settings {
            args.extend(["-c".into(), format!("{name}={value}").into()]);
        }

        let socket = Socket {
            psql: program.with_file_name("psql"),
            folder: sockets,
            port,
        };
        let launch = Launch {
            program,
            args,
            work: data,
            user,
            ports: vec![port],
        };
        let mut server = Server::new(folder, launch);
        server.start(&socket).await?;
        let password = self.password.as_ref();
        let password = password.map_or_else(String::new, |password| format!(":{password}"));
        let address = format!("postgres://{SUPERUSER}{password}@127.0.0.1:{port}");
        Ok(Postgres::own(address, certificates, server, socket))
    }

    /// Makes the files of a server that has never run.
    async fn init(
        &self,
        initdb: &Path,
        folder: &Folder,
        data: &Path,
        user: Option<&User>,
    ) -> Result<(), Error> {
        let password = self.password.as_deref().unwrap_or("none");
        let password = folder.write("password", password, user)?;
        let mut command = std::process::Command::new(initdb);
        command.arg("--pgdata").arg(data);
        command.arg("--pwfile").arg(password);
        command.args(["--username", SUPERUSER, "--auth=trust", "--no-sync"]);
        command.args(["--encoding=UTF8", "--locale=C"]);
        command.current_dir(data);
        if let Some(user) = user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        output(command.into()).await.map(drop)
    }

    /// Who may come in, and how: `pg_hba.conf`.
    fn access(&self) -> String {
        let connection = if self.tls { "hostssl" } else { "host" };
        let method = match self.password {
            Some(_) => "scram-sha-256",
            None => "trust",
        };
        let certificate = if self.client_certificates {
            "clientcert=verify-ca"
        } else {
            ""
        };
        format!("local all all trust\n{connection} all all 127.0.0.1/32 {method} {certificate}\n")
    }
}

/// Whom the server runs as, since it refuses to be root; `None` if we are not root either.
fn unprivileged() -> Result<Option<User>, Error> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in [SUPERUSER, "nobody"] {
        if let Some(user) = User::from_name(name).doing(format!("look up the user {name}"))? {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// Executes a statement, by a `psql` that knows where.
async fn execute(mut psql: Command, statement: &str) -> Result<(), Error> {
    psql.args([
        "--no-psqlrc",
        "--no-password",
        "--quiet",
        "--command",
        statement,
    ]);
    output(psql).await.map(drop)
}

/// Runs a program to its end, which has to be a good one.
async fn output(mut command: Command) -> Result<String, Error> {
    let program = PathBuf::from(command.as_std().get_program());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = timeout(PATIENCE, command.output()).await else {
        return Err(Error::Silent {
            program,
            waited: PATIENCE,
            output: String::new(),
        });
    };
    let output = output.doing(format!("start {}", program.display()))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(Error::Ended {
        program,
        status: output.status.to_string(),
        output: text(&output.stderr),
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
