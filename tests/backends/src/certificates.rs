//! Certificates for a server of the loopback address, and for its clients.

use std::path::{Path, PathBuf};

use nix::unistd::User;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::{Error, folder::Folder};

/// The paths of PEM files.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority that signed the others: what a client trusts.
    pub ca: PathBuf,
    /// A client's certificate, of the name `micro`.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    pub(crate) server_cert: PathBuf,
    pub(crate) server_key: PathBuf,
}

impl Certificates {
    /// Makes them anew in a folder; `owner` runs the server.
    pub(crate) fn make(folder: &Folder, owner: Option<&User>) -> Result<Self, Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        name(&mut authority, "micro test authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let sign = |common_name: &str, file: &str, owner: Option<&User>| {
            let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(names)?;
            // etcd's gateway is a client of its own server.
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            name(&mut params, common_name);
            let key = KeyPair::generate()?;
            let cert = params.signed_by(&key, &authority)?;
            let write = |extension: &str, text: &str| {
                folder.write(&format!("{file}.{extension}"), text, owner)
            };
            Ok::<_, Error>((
                write("pem", &cert.pem())?,
                write("key", &key.serialize_pem())?,
            ))
        };
        let (server_cert, server_key) = sign("localhost", "server", owner)?;
        let (cert, key) = sign("micro", "client", None)?;
        Ok(Self {
            ca: folder.write("ca.pem", &authority.pem(), owner)?,
            cert,
            key,
            server_cert,
            server_key,
        })
    }

    pub(crate) fn server(&self) -> (&Path, &Path) {
        (&self.server_cert, &self.server_key)
    }
}

fn name(params: &mut CertificateParams, common_name: &str) {
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
}
