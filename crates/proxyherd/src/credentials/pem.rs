//! Reads files with certificates and keys in PEM form, for links and for doors.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
};

use memchr::memmem;
use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::error::{CredentialsError, Make};

/// The longest file that is read, bytes. A chain of certificates takes a few thousand.
const FILE_LEN_MAX: u64 = 256 * 1024;
/// Some editors and tools begin a text file with this.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The algorithms of every connection.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads the certificates of a file, which must hold at least one.
pub(crate) fn read_certificates(
    path: &Path,
    make: impl FnOnce() -> Make,
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let (bytes, _) = read(path, make)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(CredentialsError::Empty { path: path.to_owned(), what: "certificate" }),
    }
}

/// Reads the private key in `path`. It must be the key of the first of `certificates`, which were read from `of`, and others
/// than its owner must not be able to read it.
pub(crate) fn read_key(
    path: &Path,
    make: impl FnOnce() -> Make,
    certificates: &[CertificateDer<'static>],
    of: &Path,
) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    let (bytes, access) = read(path, make)?;
    if access.is_exposed() {
        return Err(CredentialsError::Exposed { path: path.to_owned(), mode: access.mode });
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| CredentialsError::Empty { path: path.to_owned(), what: "private key" })?;
    match CertifiedKey::from_der(certificates.to_vec(), key.clone_key(), &provider()) {
        Ok(_) => Ok(key),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CredentialsError::KeyMismatch { certificate: of.to_owned(), key: path.to_owned() })
        }
        Err(why) => Err(CredentialsError::Library { path: path.to_owned(), why }),
    }
}

/// A file's owner and permissions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) owner: u32,
    pub(super) mode: u32,
}

impl Access {
    /// Whether too many users can read or replace a private key; whoever can do so can speak as the server. If root owns the
    /// file, its group may read it: Kubernetes (`fsGroup`) and Debian (`ssl-cert`) give a key to a server that way.
    pub(super) fn is_exposed(self) -> bool {
        let allowed = if self.owner == 0 { 0o740 } else { 0o700 };
        self.mode & 0o777 & !allowed != 0
    }
}

/// Reads a file. Byte order marks are left out wherever they stand, because files with marks may have been joined.
fn read(path: &Path, make: impl FnOnce() -> Make) -> Result<(Vec<u8>, Access), CredentialsError> {
    let read = || {
        let file = File::open(path)?;
        let about = file.metadata()?;
        let mut bytes = Vec::new();
        file.take(FILE_LEN_MAX).read_to_end(&mut bytes)?;
        Ok((without_marks(&bytes), Access { owner: about.uid(), mode: about.mode() & 0o7777 }))
    };
    read().map_err(|error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => CredentialsError::Missing { path: path.to_owned(), make: make() },
        _ => CredentialsError::Unreadable { path: path.to_owned(), why: error },
    })
}

fn without_marks(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    while let Some(at) = memmem::find(bytes, BYTE_ORDER_MARK) {
        text.extend_from_slice(&bytes[..at]);
        bytes = &bytes[at + BYTE_ORDER_MARK.len()..];
    }
    text.extend_from_slice(bytes);
    text
}
