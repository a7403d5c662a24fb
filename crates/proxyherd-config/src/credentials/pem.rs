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

/// Maximum length of a file, bytes. A chain of certificates has a few thousand bytes.
const FILE_LEN_MAX: u64 = 256 * 1024;
/// The byte order mark. Some editors and tools begin a text file with this mark.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The algorithms of every connection.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads the certificates of a file, which must hold at least one.
pub fn read_certificates(
    path: &Path,
    make: impl FnOnce() -> Make,
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let (bytes, _) = read(path, make)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(mistaken(path, &bytes, "certificate")),
    }
}

/// Reads the private key in `path`. The key must belong to the first of `certificates`, which were read from the file
/// `of`. Only the owner of the key's file may be able to read the file.
pub fn read_key(
    path: &Path,
    make: impl FnOnce() -> Make,
    certificates: &[CertificateDer<'static>],
    of: &Path,
) -> Result<PrivateKeyDer<'static>, CredentialsError> {
    let (bytes, access) = read(path, make)?;
    if access.is_exposed() {
        return Err(CredentialsError::Exposed { path: path.to_owned(), mode: access.mode });
    }
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| mistaken(path, &bytes, "private key"))?;
    match CertifiedKey::from_der(certificates.to_vec(), key.clone_key(), &provider()) {
        Ok(_) => Ok(key),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(CredentialsError::KeyMismatch { certificate: of.to_owned(), key: path.to_owned() })
        }
        Err(why) => {
            let is_of_certificate = matches!(why, rustls::Error::InvalidCertificate(_));
            let path = if is_of_certificate { of } else { path };
            Err(CredentialsError::Library { path: path.to_owned(), why })
        }
    }
}

/// The error for a file that holds no `wanted`, a certificate or a private key.
fn mistaken(path: &Path, bytes: &[u8], wanted: &'static str) -> CredentialsError {
    let has = |text: &str| memmem::find(bytes, text.as_bytes()).is_some();
    let other = if wanted == "certificate" { "private key" } else { "certificate" };
    let name = path.display();
    // The beginning of X.509 and PKCS#8 in DER: a sequence of more than 127 bytes.
    let is_der = matches!(bytes, [0x30, 0x81 | 0x82, ..]);
    let (what, advice) = if bytes.trim_ascii().is_empty() {
        (format!("is empty, but should hold a {wanted}"), "copy the file again".to_owned())
    } else if is_der {
        let command = if wanted == "certificate" { "x509" } else { "pkey" };
        let convert = format!("`openssl {command} -inform DER -in {name} -out NEW` makes PEM of it");
        ("is in DER form, but should be in PEM form".to_owned(), convert)
    } else if wanted == "private key" && has("ENCRYPTED") {
        let decrypt = format!("`openssl pkey -in {name} -out NEW` writes it without the passphrase");
        ("holds a private key that a passphrase protects".to_owned(), decrypt)
    } else if has(if wanted == "certificate" { "PRIVATE KEY-----" } else { "BEGIN CERTIFICATE-----" }) {
        let swapped = "has somebody swapped the certificate and its key?".to_owned();
        (format!("holds a {other} and no {wanted} that can be read"), swapped)
    } else {
        return CredentialsError::Empty { path: path.to_owned(), what: wanted };
    };
    CredentialsError::Mistaken { path: path.to_owned(), what, advice }
}

/// A file's owner and permissions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) owner: u32,
    pub(super) mode: u32,
}

impl Access {
    /// Whether too many users can read or replace a private key. Whoever can do so can speak as the server. If root
    /// owns the file, the file's group may read the file, because Kubernetes (`fsGroup`) and Debian (`ssl-cert`) give
    /// keys to servers through the group.
    pub(super) fn is_exposed(self) -> bool {
        let allowed = if self.owner == 0 { 0o740 } else { 0o700 };
        self.mode & 0o777 & !allowed != 0
    }
}

/// Reads a file. Byte order marks are removed at every position, because the file may be joined from files with marks.
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_with_something_else_is_told_by_what_it_holds() {
        let made = rcgen::generate_simple_self_signed(["herd.example".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let encrypted = key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
        for (bytes, wanted, said) in [
            (
                " \n".as_bytes(),
                "certificate",
                "door is empty, but should hold a certificate: copy the file again",
            ),
            (
                key.as_bytes(),
                "certificate",
                "door holds a private key and no certificate that can be read: has",
            ),
            (
                certificate.as_bytes(),
                "private key",
                "door holds a certificate and no private key that can be read: has",
            ),
            (
                encrypted.as_bytes(),
                "private key",
                "door holds a private key that a passphrase protects: `openssl pkey",
            ),
            (
                made.cert.der(),
                "certificate",
                "door is in DER form, but should be in PEM form: `openssl x509 -inform DER -in door",
            ),
            (
                &made.signing_key.serialize_der(),
                "private key",
                "door is in DER form, but should be in PEM form: `openssl pkey",
            ),
            (b"hello", "certificate", "door holds no certificate that can be read"),
        ] {
            let error = mistaken(Path::new("door"), bytes, wanted).to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
    #[test]
    fn a_certificate_that_the_library_refuses_is_named_and_not_its_key() {
        let mut params = rcgen::CertificateParams::new(["herd.example".to_owned()]).unwrap();
        let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4, 5], vec![5, 0]);
        unknown.set_criticality(true);
        params.custom_extensions.push(unknown);
        let (dir, pair) = (tempfile::tempdir().unwrap(), rcgen::KeyPair::generate().unwrap());
        let certificate = params.self_signed(&pair).unwrap();
        let path = dir.path().join("door.key");
        std::fs::write(&path, pair.serialize_pem()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let refused = read_key(&path, || Make::Door, &[certificate.der().clone()], Path::new("door.pem"));
        let error = refused.unwrap_err().to_string();
        assert!(error.starts_with("door.pem: invalid peer certificate"), "{error}");
    }
}
