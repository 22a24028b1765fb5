//! The addresses that a server really has, and the file that tells them to programs.

use std::{
    fmt, fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::ServerError;

/// The addresses that a server really has. Prints as lines for people; as JSON it is
/// `{"api": "127.0.0.1:8080", "proxy": …, "network": …, "pid": 4711}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// The HTTP gateway.
    pub api: SocketAddr,
    /// The gRPC proxy.
    pub proxy: SocketAddr,
    /// The door of services.
    pub network: SocketAddr,
    /// The process.
    pub pid: u32,
}

impl Addresses {
    /// Where services on this machine reach the network door.
    pub fn network_from_here(&self) -> SocketAddr {
        from_here(self.network)
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "api      http://{}", self.api)?;
        writeln!(f, "proxy    {}", self.proxy)?;
        write!(f, "network  {}", self.network)
    }
}

/// The same address as one can connect to it on this machine: whoever listens on every interface
/// is reached on the loopback one.
fn from_here(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The file that holds the addresses while the server serves; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct AddressesFile(PathBuf);

impl AddressesFile {
    /// Writes the file so that a reader sees all of it or nothing.
    pub(crate) fn write(path: &Path, addresses: &Addresses) -> Result<Self, ServerError> {
        let write = || -> io::Result<()> {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{}.tmp", addresses.pid));
            let temporary = path.with_file_name(name);
            let mut file = fs::File::create(&temporary)?;
            serde_json::to_writer(&mut file, addresses)?;
            file.write_all(b"\n")?;
            fs::rename(&temporary, path)
        };
        write().map_err(|source| ServerError::File {
            action: "write the addresses to",
            path: path.to_owned(),
            source,
        })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for AddressesFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            api: SocketAddr::from(([127, 0, 0, 1], 8080)),
            proxy: SocketAddr::from(([127, 0, 0, 1], 8081)),
            network: SocketAddr::from(([0, 0, 0, 0], 8443)),
            pid: 4711,
        }
    }

    #[test]
    fn the_file_is_json_and_goes_with_the_server() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("addresses.json");
        let file = AddressesFile::write(&path, &addresses()).expect("written");
        assert_eq!(
            fs::read_to_string(&path).expect("readable"),
            "{\"api\":\"127.0.0.1:8080\",\"proxy\":\"127.0.0.1:8081\",\
             \"network\":\"0.0.0.0:8443\",\"pid\":4711}\n"
        );
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = AddressesFile::write(Path::new("/nowhere/a.json"), &addresses());
        assert_eq!(
            error.expect_err("no such folder").to_string(),
            "cannot write the addresses to /nowhere/a.json: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn every_interface_is_reached_on_loopback() {
        let here = addresses().network_from_here().to_string();
        assert_eq!(here, "127.0.0.1:8443");
        assert_eq!(
            from_here(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 1))).to_string(),
            "[::1]:1"
        );
    }
}
