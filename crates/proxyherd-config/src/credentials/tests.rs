//! Tests of trust: certificates of the authority are trusted while they are valid, and other certificates are not.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    time::Duration,
};

use rustls::pki_types::{UnixTime, pem::PemObject as _};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::{
    certificate::{DAY_S, Unreadable},
    pem::Access,
    trust::{End, Trust},
    *,
};

/// Some time in 2026.
const NOW_S: i64 = 1_795_461_363;

fn name(server: &str) -> ServerName {
    ServerName::new(server).unwrap()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn trust(herd: &str, authorities: &[&str]) -> Trust {
    let authorities: Vec<_> = authorities.iter().map(|pem| der(pem)).collect();
    Trust::new(herd.to_owned(), &authorities).unwrap()
}

/// How both ends judge a certificate at this time. The two results must be equal.
fn judged(trust: &Trust, certificate_pem: &str, at_s: i64) -> Result<String, Untrusted> {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at_s.unsigned_abs()));
    let judge =
        |end| trust.judge(&der(certificate_pem), &[], at, end).map(|member| member.server.to_string());
    let dialed = judge(End::Accepts);
    assert_eq!(dialed, judge(End::Dials));
    dialed
}

#[test]
fn a_certificate_is_believed_from_its_beginning_to_its_end() {
    let (authority, made) = Authority::create("herd-1", NOW_S).unwrap();
    let trust = trust("herd-1", &[&made.certificate_pem]);
    let riley = authority.issue(&name("Riley"), NOW_S, 365).unwrap();
    assert_eq!(riley.not_after_s, NOW_S + 365 * DAY_S);
    let expired = Untrusted::Expired("Riley".into(), date(riley.not_after_s));
    for (at_s, expected) in [
        (NOW_S - 3600, Ok("Riley".to_owned())),
        (NOW_S, Ok("Riley".to_owned())),
        (riley.not_after_s, Ok("Riley".to_owned())),
        (riley.not_after_s + 1, Err(expired)),
        (NOW_S - 3601, Err(Untrusted::NotYet("Riley".into(), date(NOW_S - 3600)))),
    ] {
        assert_eq!(judged(&trust, &riley.certificate_pem, at_s), expected, "{}", at_s - NOW_S);
    }
}

#[test]
fn names_that_no_host_could_have_are_names_of_servers() {
    let (authority, made) = Authority::create(&"h".repeat(64), NOW_S).unwrap();
    let trust = trust(&"h".repeat(64), &[&made.certificate_pem]);
    for server in ["Riley", "a_b.c-D", "0", "x..y", &"N".repeat(64)] {
        let issued = authority.issue(&name(server), NOW_S, 1).unwrap();
        assert_eq!(judged(&trust, &issued.certificate_pem, NOW_S).as_deref(), Ok(server));
    }
}

#[test]
fn an_authority_that_is_opened_again_goes_on_where_it_was() {
    let (_, made) = Authority::create("herd-1", NOW_S).unwrap();
    let (_, other) = Authority::create("herd-1", NOW_S).unwrap();
    let open = |certificates: &[&str], key: &str| {
        let certificates: Vec<_> = certificates.iter().map(|pem| der(pem)).collect();
        Authority::open(&certificates, key).map_err(|error| error.to_string())
    };
    for certificates in [&[&*made.certificate_pem][..], &[&other.certificate_pem, &made.certificate_pem]] {
        let authority = open(certificates, &format!("a notice\n{}", made.key_pem)).unwrap();
        let issued = authority.issue(&name("Riley"), NOW_S + DAY_S, 1).unwrap();
        let trust = trust("herd-1", &[&made.certificate_pem]);
        assert_eq!(judged(&trust, &issued.certificate_pem, NOW_S + DAY_S).as_deref(), Ok("Riley"));
        // A certificate expires with its authority at the latest. An expired authority issues no certificates.
        let last = authority.issue(&name("Riley"), made.not_after_s - 1, 365).unwrap();
        assert_eq!(last.not_after_s, made.not_after_s);
        assert!(authority.issue(&name("Riley"), made.not_after_s, 365).is_err());
    }
    let error = |certificate: &str, key: &str| open(&[certificate], key).err().expect("it does not open");
    let riley = open(&[&made.certificate_pem], &made.key_pem).unwrap();
    let riley = riley.issue(&name("Riley"), NOW_S, 1).unwrap();
    assert_eq!(error(&made.certificate_pem, &other.key_pem), "the key belongs to another authority");
    assert_eq!(error(&made.certificate_pem, "nothing"), "the file holds no private key that can be read");
    assert!(
        error(&riley.certificate_pem, &riley.key_pem)
            .starts_with("the file holds no certificate of an authority")
    );
}

#[test]
fn a_server_is_no_authority() {
    let (authority, made) = Authority::create("herd-1", NOW_S).unwrap();
    let riley = authority.issue(&name("Riley"), NOW_S, 365).unwrap();
    let trust = trust("herd-1", &[&made.certificate_pem]);
    // A certificate that Riley signs as if Riley were the authority, with Riley's certificate as the intermediate one.
    let key = rcgen::KeyPair::from_pem(&riley.key_pem).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Riley");
    let issuer = rcgen::Issuer::new(params, key);
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI("proxyherd://herd-1/Jaquez".try_into().unwrap())];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let forged = params.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(NOW_S.unsigned_abs()));
    let between = [der(&riley.certificate_pem)];
    let refused = trust.judge(forged.der(), &between, at, End::Dials).unwrap_err();
    assert!(matches!(refused, Untrusted::Unfit(_) | Untrusted::OtherAuthority), "{refused:?}");
    // The authority's own certificate is not a server's certificate.
    let refused = Untrusted::Unfit("CaUsedAsEndEntity".to_owned());
    assert_eq!(judged(&trust, &made.certificate_pem, NOW_S), Err(refused));
}

#[test]
fn one_authority_takes_over_from_another_while_both_are_believed() {
    let (old, old_made) = Authority::create("herd-1", NOW_S).unwrap();
    let (new, new_made) = Authority::create("herd-2", NOW_S).unwrap();
    let riley = old.issue(&name("Riley"), NOW_S, 1).unwrap().certificate_pem;
    let jaquez = new.issue(&name("Jaquez"), NOW_S, 1).unwrap().certificate_pem;
    let both = trust("herd-1", &[&old_made.certificate_pem, &new_made.certificate_pem]);
    assert_eq!(judged(&both, &riley, NOW_S).as_deref(), Ok("Riley"));
    assert_eq!(judged(&both, &jaquez, NOW_S).as_deref(), Ok("Jaquez"));
    let only_new = trust("herd-2", &[&new_made.certificate_pem]);
    assert_eq!(judged(&only_new, &riley, NOW_S), Err(Untrusted::OtherAuthority));
    assert_eq!(judged(&only_new, &jaquez, NOW_S).as_deref(), Ok("Jaquez"));
}

#[test]
fn what_is_no_whole_certificate_is_unreadable_and_does_no_harm() {
    let (_, made) = Authority::create("herd-1", NOW_S).unwrap();
    let certificate = der(&made.certificate_pem);
    assert_eq!(Facts::of(&certificate).unwrap().authority(), Some("herd-1"));
    for end in 0..certificate.len() {
        assert!(Facts::of(&certificate[..end].into()).is_err(), "{end}");
    }
    let longer = [&certificate[..], b"\0"].concat();
    assert!(Facts::of(&longer.into()).is_err());
    for (index, bit) in (0..certificate.len()).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
        let mut changed = certificate.to_vec();
        changed[index] ^= 1 << bit;
        assert!(!matches!(Facts::of(&changed.into()), Err(Unreadable::Panic)), "{index} {bit}");
    }
}

/// A directory with an authority and what one server needs.
fn dir_of(authority: &Authority, made: &Issued, server: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    fs::write(path.join("ca.pem"), &made.certificate_pem).unwrap();
    put(&path, &authority.issue(&name(server), clock::now_s(), 100).unwrap(), server);
    (dir, path)
}

fn put(dir: &Path, issued: &Issued, server: &str) {
    fs::write(dir.join(format!("{server}.pem")), &issued.certificate_pem).unwrap();
    let key = dir.join(format!("{server}.key"));
    fs::write(&key, &issued.key_pem).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn files_that_are_no_good_leave_what_is_in_use() {
    let (authority, made) = Authority::create("herd-1", clock::now_s()).unwrap();
    let (_dir, dir) = dir_of(&authority, &made, "Riley");
    let credentials = Credentials::open(&dir, &name("Riley")).unwrap();
    assert!(matches!(credentials.days_left(), 99..=100));
    let next = authority.issue(&name("Riley"), clock::now_s(), 200).unwrap();
    fs::write(dir.join("Riley.pem"), &next.certificate_pem).unwrap();
    let error = credentials.reload().unwrap_err();
    assert!(matches!(error, CredentialsError::KeyMismatch { .. }), "{error}");
    assert!(matches!(credentials.days_left(), 99..=100));
    put(&dir, &next, "Riley");
    credentials.reload().unwrap();
    assert!(matches!(credentials.days_left(), 199..=200));
    for (begins_s, days, said) in
        [(clock::now_s() - 400 * DAY_S, 300, "expired on"), (clock::now_s() + DAY_S, 2, "begins on")]
    {
        put(&dir, &authority.issue(&name("Riley"), begins_s, days).unwrap(), "Riley");
        let error = credentials.reload().unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
        assert!(matches!(credentials.days_left(), 199..=200));
    }
}

#[test]
fn byte_order_marks_before_pem_are_read_over() {
    let (authority, made) = Authority::create("herd-1", clock::now_s()).unwrap();
    let (_dir, dir) = dir_of(&authority, &made, "Riley");
    for file in ["ca.pem", "Riley.pem", "Riley.key"] {
        let text = fs::read_to_string(dir.join(file)).unwrap();
        fs::write(dir.join(file), format!("\u{feff}{text}")).unwrap();
        Credentials::open(&dir, &name("Riley")).unwrap();
    }
    // Two files joined, each with its mark, as when one authority takes over from another.
    let (_, other) = Authority::create("herd-2", clock::now_s()).unwrap();
    let both = format!("\u{feff}{}\u{feff}{}", other.certificate_pem, made.certificate_pem);
    fs::write(dir.join("ca.pem"), both).unwrap();
    Credentials::open(&dir, &name("Riley")).unwrap();
}

#[test]
fn a_key_may_be_read_by_a_group_where_root_owns_it_and_by_others_nowhere() {
    for (owner, mode, is_exposed) in [
        (1000, 0o600, false),
        (1000, 0o400, false),
        (1000, 0o700, false),
        (1000, 0o640, true),
        (1000, 0o440, true),
        (0, 0o600, false),
        (0, 0o640, false),
        (0, 0o440, false),
        (0, 0o660, true),
        (0, 0o620, true),
        (0, 0o650, true),
        (0, 0o644, true),
        (0, 0o641, true),
        (0, 0o604, true),
    ] {
        assert_eq!(Access { owner, mode }.is_exposed(), is_exposed, "{owner} {mode:o}");
    }
    let (authority, made) = Authority::create("herd-1", clock::now_s()).unwrap();
    let (_dir, dir) = dir_of(&authority, &made, "Riley");
    let key = dir.join("Riley.key");
    let is_root = fs::metadata(&key).unwrap().uid() == 0;
    for (mode, is_fine) in [(0o440, is_root), (0o640, is_root), (0o644, false), (0o600, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        match Credentials::open(&dir, &name("Riley")) {
            Ok(_) => assert!(is_fine, "{mode:o}"),
            Err(CredentialsError::Exposed { mode: told, .. }) => {
                assert_eq!((is_fine, told), (false, mode));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_chain_holds_no_longer_than_each_of_its_certificates() {
    let (authority, made) = Authority::create("herd-1", clock::now_s()).unwrap();
    let (_dir, dir) = dir_of(&authority, &made, "Riley");
    let own = fs::read_to_string(dir.join("Riley.pem")).unwrap();
    let between = authority.issue(&name("Between"), clock::now_s(), 5).unwrap().certificate_pem;
    fs::write(dir.join("Riley.pem"), own + &between).unwrap();
    let credentials = Credentials::open(&dir, &name("Riley")).unwrap();
    assert!(matches!(credentials.days_left(), 4..=5));
    let warned = audit(&dir, &[&name("Riley")], None, clock::now_s());
    assert!(format!("{warned:?}").contains("expires on"), "{warned:?}");
}

#[tokio::test]
async fn both_ends_learn_who_the_other_is() {
    let (authority, made) = Authority::create("herd-1", clock::now_s()).unwrap();
    let open = |server: &str| {
        let (dir, path) = dir_of(&authority, &made, server);
        (dir, Credentials::open(&path, &name(server)).unwrap())
    };
    let ((_one, riley), (_two, jaquez)) = (open("Riley"), open("Jaquez"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialed = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let (dialed, accepted) = tokio::join!(jaquez.connect(dialed), riley.accept(accepted));
    assert_eq!(dialed.unwrap().1, name("Riley"));
    assert_eq!(accepted.unwrap().1, name("Jaquez"));
}

#[test]
fn a_file_that_may_not_be_read_is_told_with_whose_it_is() {
    let unreadable = CredentialsError::Unreadable {
        path: "/etc/passwd".into(),
        why: std::io::ErrorKind::PermissionDenied.into(),
    };
    let said = unreadable.to_string();
    let expected = "cannot read /etc/passwd: permission denied; /etc/passwd belongs to root (mode 0644) and this process";
    assert!(said.starts_with(expected), "{said}");
}
