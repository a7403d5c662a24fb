//! `proxyherd init`: writes the configuration of the classic herd, with a comment on every setting. It also makes the
//! certificates by which the servers recognize each other, and the operator's token.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anstyle::Style;
use proxyherd_commands::init::{Existing, FILE_NAME, Template, renew, write};
use proxyherd_config::{
    config::{Config, Tls},
    credentials::operator_token_path,
};
use proxyherd_core::types::ServerName;

use super::heading;

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd init
  proxyherd init /etc/proxyherd
  proxyherd init --force           replace a herd.toml, keep the rest
  proxyherd init --from my.toml /etc/proxyherd
  proxyherd init --server Riley    make a new certificate for Riley

",
    heading!("Files"),
    "  herd.toml              the configuration
  operator.token         the token that may do everything; no server needs it
  certs/ca.pem           the herd's authority: every server needs it
  certs/<server>.pem     a server's certificate: that server alone needs it
  certs/<server>.key     its private key: that server alone needs it
  certs/ca.key           the authority's private key: keep it off the servers
",
);

const BOLD: Style = Style::new().bold();

/// Write a commented herd.toml of the classic herd of five servers, with certificates and the operator's token
///
/// The file has every setting, with its unit and its default. Existing files are not changed. The token goes into
/// operator.token, which only its owner can read, and its hash into herd.toml. With --from, herd.toml is a copy of a
/// prepared file, and the certificates are those of its servers. With --server, the command makes or renews the
/// certificate of one server, and does nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The directory of herd.toml; a missing directory is created
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
    dir: PathBuf,

    /// Replace an existing herd.toml
    #[arg(long, conflicts_with = "server")]
    force: bool,

    /// Write a copy of this file as herd.toml, in place of the classic herd. Only the value of operator_token_sha256 in
    /// it is replaced
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    from: Option<PathBuf>,

    /// Make or renew the certificate of this server
    #[arg(long, value_name = "NAME", value_parser = ServerName::new)]
    server: Option<ServerName>,

    /// Number of days for which certificates are valid
    #[arg(long, value_name = "N", default_value_t = 365)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// Writes the files and prints what to do next.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(server) = &args.server {
        return renew(&args.dir, server, args.days);
    }
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let template = args.from.as_deref().map_or(Template::Classic, Template::File);
    let (has_new_authority, config) = write(&args.dir, template, args.days, existing)?;
    say_what_next(&args.dir, template, &config, has_new_authority)?;
    Ok(())
}

fn say_what_next(
    dir: &Path,
    template: Template<'_>,
    config: &Config,
    has_new_authority: bool,
) -> io::Result<()> {
    let names: Vec<String> = config.servers.iter().map(|server| server.name.to_string()).collect();
    let (first, names) = (names.first().cloned().unwrap_or_default(), names.join(" "));
    let file = dir.join(FILE_NAME);
    let token = operator_token_path(&file);
    let (file, token) = (file.display(), token.display());
    let Tls::Certs(certificates) = &config.herd.tls else {
        return writeln!(
            anstream::stdout(),
            "Wrote {BOLD}{file}{BOLD:#}, without certificates, because its `tls` is \"off\".
In {BOLD}{token}{BOLD:#}: the operator's token."
        );
    };
    let certificates = certificates.display();
    let what = match template {
        Template::Classic => "the classic herd of five servers, all on this machine.".to_owned(),
        Template::File(from) => format!("a copy of {}, with the hash of the token below.", from.display()),
    };
    let made = if has_new_authority {
        "certificates for them, and the authority that made them.\n\
         Its key, ca.key, can make servers of this herd: only `proxyherd init` needs it, so keep it off the servers."
    } else {
        "the certificates that were there already have stayed."
    };
    writeln!(
        anstream::stdout(),
        "Wrote {BOLD}{file}{BOLD:#}: {what}
In {BOLD}{certificates}{BOLD:#}: {made}
In {BOLD}{token}{BOLD:#}: the operator's token. It may do everything once herd.toml
has tokens = \"on\"; the servers need only its hash, which herd.toml has.

Start them, each in a terminal of its own, or all at once:
  proxyherd serve --config {file} --name {first}
  for name in {names}; do proxyherd serve --config {file} --name $name & done

Then talk to them:
  proxyherd client --config {file}
  proxyherd status --config {file}

After changing the file:
  proxyherd check --config {file}"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use proxyherd_config::{
        clock,
        config::Overrides,
        credentials::{Credentials, Finding, audit},
    };

    use proxyherd_config::credentials::{hex, read_token_file, token_hash};

    use super::{super::UsageError, *};

    /// Writes the files of a herd where there are none.
    fn put(dir: &Path) -> anyhow::Result<bool> {
        write(dir, Template::Classic, 365, Existing::Keep).map(|(is_new, _)| is_new)
    }

    fn put_again(dir: &Path) -> anyhow::Result<bool> {
        write(dir, Template::Classic, 365, Existing::Replace).map(|(is_new, _)| is_new)
    }

    fn files(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let mut files: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        files
    }

    fn name(server: &str) -> ServerName {
        ServerName::new(server).unwrap()
    }

    #[test]
    fn what_is_written_passes_check() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        assert!(put(&dir).unwrap());
        let config = Config::load(&dir.join("herd.toml"), &Overrides::none()).unwrap();
        assert_eq!(config.servers, Config::classic().servers);
        assert!(config.warnings.is_empty());
        let digits = config.herd.id.strip_prefix("herd-").unwrap();
        assert!(digits.len() == 6 && u32::from_str_radix(digits, 16).is_ok(), "{digits}");
        assert_eq!(files(&dir), ["certs", "herd.toml", "operator.token"], "nothing is left beside it");
        let token = read_token_file(&dir.join("operator.token")).unwrap();
        assert_eq!(config.access.operator_token_sha256, Some(token_hash(&token)));
        assert_eq!(fs::metadata(dir.join("operator.token")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(dir.join("herd.toml")).unwrap().contains(&token));
        let certs = dir.join("certs");
        let names: Vec<&ServerName> = config.servers.iter().map(|server| &server.name).collect();
        assert_eq!(audit(&certs, &names, None, clock::now_s()), []);
        for &name in &names {
            let days = Credentials::open(&certs, name).unwrap().days_left();
            assert!((364..=365).contains(&days), "{days}");
        }
    }

    #[test]
    fn keys_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path()).unwrap();
        let certs = dir.path().join("certs");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&certs), 0o700);
        let written = files(&certs);
        assert_eq!(written.len(), 12, "{written:?}");
        for file in written {
            let is_key = file.ends_with(".key");
            let expected = if is_key { 0o600 } else { 0o644 };
            assert_eq!(mode(&certs.join(&file)) & !0o044, expected & !0o044, "{file}");
            assert!(!is_key || mode(&certs.join(&file)) == 0o600, "{file}");
        }
        let text = fs::read_to_string(certs.join("ca.key")).unwrap();
        assert!(text.contains("keep it off the servers"), "{}", text.lines().next().unwrap());
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_by_force_and_certificates_never() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("herd.toml");
        fs::write(&path, "mine").unwrap();
        let error = put(dir.path()).unwrap_err().to_string();
        assert!(error.ends_with("herd.toml is there already; --force replaces it"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert_eq!(files(dir.path()), ["herd.toml"], "nothing is left beside it");
        fs::write(dir.path().join("operator.token"), "mine too\n").unwrap();
        let error = put_again(dir.path()).unwrap_err().to_string();
        assert!(error.contains("operator.token does not hold a token"), "{error}");
        fs::write(dir.path().join("operator.token"), "mine\n").unwrap();
        assert!(put_again(dir.path()).unwrap());
        assert!(fs::read_to_string(&path).unwrap().starts_with("# herd.toml"));
        assert!(fs::read_to_string(&path).unwrap().contains(&hex(&token_hash("mine"))));
        assert_eq!(fs::read_to_string(dir.path().join("operator.token")).unwrap(), "mine\n", "it has stayed");
        let certs = dir.path().join("certs");
        let read = |file: &str| fs::read_to_string(certs.join(file)).unwrap();
        let (authority, riley) = (read("ca.pem"), read("Riley.pem"));
        fs::remove_file(certs.join("Jaquez.pem")).unwrap();
        let error = put_again(dir.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("Jaquez.key is there already, without what belongs to it; move it away first"),
            "{error}"
        );
        fs::remove_file(certs.join("Jaquez.key")).unwrap();
        assert!(!put_again(dir.path()).unwrap());
        assert_eq!((authority, riley), (read("ca.pem"), read("Riley.pem")), "what was there has stayed");
        assert_eq!(Credentials::open(&certs, &name("Jaquez")).map(|_| ()).map_err(|e| e.to_string()), Ok(()));
    }

    #[test]
    fn a_prepared_file_is_copied_with_the_hash_and_its_servers_get_certificates() {
        let dir = tempfile::tempdir().unwrap();
        let (from, into) = (dir.path().join("my.toml"), dir.path().join("made"));
        let prepare = |text: &str| fs::write(&from, text).unwrap();
        let make = || write(&into, Template::File(&from), 365, Existing::Replace);
        let text = "[herd]\nid = \"mine\"\ntls = \"certs\"\n[access]\ntokens = \"on\"\n\
                    operator_token_sha256 = \"\"\n[[server]]\nname = \"a\"\nlisten = \"127.0.0.1:7\"\n\
                    peer = \"127.0.0.1:8\"\n";
        prepare(text);
        let (is_new, config) = make().unwrap();
        let token = token_hash(&read_token_file(&into.join("operator.token")).unwrap());
        let written = fs::read_to_string(into.join("herd.toml")).unwrap();
        assert_eq!(written, text.replace("\"\"", &format!("{:?}", hex(&token))));
        assert!(is_new && config.access.operator_token_sha256 == Some(token) && config.herd.id == "mine");
        assert!(Credentials::open(&into.join("certs"), &name("a")).is_ok());
        prepare(&text.replace("\"a\"", "\"b\""));
        assert!(!make().unwrap().0, "the authority has stayed");
        assert!(Credentials::open(&into.join("certs"), &name("b")).is_ok());
        let before = fs::read(into.join("herd.toml")).unwrap();
        for (wrong, said) in [("operator_token", "has no line for the hash"), ("listen", "error")] {
            prepare(&text.replace(wrong, "lisen"));
            let error = format!("{:#}", make().unwrap_err());
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(fs::read(into.join("herd.toml")).unwrap(), before);
    }

    #[test]
    fn no_new_authority_is_made_beside_certificates_of_a_lost_one() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path()).unwrap();
        let certs = dir.path().join("certs");
        for file in ["ca.pem", "ca.key"] {
            fs::remove_file(certs.join(file)).unwrap();
        }
        let error = put_again(dir.path()).unwrap_err().to_string();
        assert!(error.contains(" is there already, without what belongs to it"), "{error}");
        assert!(!certs.join("ca.pem").exists() && !certs.join("ca.key").exists());
    }

    #[test]
    fn one_server_is_added_or_renewed_by_the_authority_that_is_there() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path()).unwrap();
        let certs = dir.path().join("certs");
        for server in ["Riley", "new_1.x"] {
            renew(dir.path(), &name(server), 7).unwrap();
            let days = Credentials::open(&certs, &name(server)).unwrap().days_left();
            assert!((6..=7).contains(&days), "{server}: {days}");
        }
        let riley = name("Riley");
        let findings = audit(&certs, &[&riley], None, clock::now_s());
        assert!(matches!(&findings[..], [Finding::Warning(said)] if said.contains("init --server Riley")));
        let authority = fs::read(certs.join("ca.pem")).unwrap();
        assert!(renew(dir.path(), &name("ca"), 7).unwrap_err().is::<UsageError>());
        assert_eq!(fs::read(certs.join("ca.pem")).unwrap(), authority);
        fs::remove_file(certs.join("ca.key")).unwrap();
        let error = renew(dir.path(), &riley, 7).unwrap_err().to_string();
        assert!(error.contains("ca.key") && error.contains("where the herd's authority is"), "{error}");
        assert!(Credentials::open(&certs, &riley).is_ok());
    }

    #[test]
    fn no_certificate_is_made_for_a_name_that_is_nearly_a_servers() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path()).unwrap();
        let error = renew(dir.path(), &name("Rily"), 7).unwrap_err();
        assert!(error.is::<UsageError>());
        let said = error.to_string();
        assert!(said.contains("has no server \"Rily\"; did you mean Riley?"), "{said}");
        assert!(!dir.path().join("certs/Rily.pem").exists() && !dir.path().join("certs/Rily.key").exists());
        let file = dir.path().join(FILE_NAME);
        let more =
            "\n[[server]]\nname = \"Rily\"\nlisten = \"127.0.0.1:12009\"\npeer = \"127.0.0.1:13009\"\n";
        fs::write(&file, fs::read_to_string(&file).unwrap() + more).unwrap();
        renew(dir.path(), &name("Rily"), 7).unwrap();
        fs::remove_file(&file).unwrap();
        renew(dir.path(), &name("Jaques"), 7).unwrap();
    }
}
