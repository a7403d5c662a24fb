//! `proxyherd data restore`: makes a new store of a dump.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use proxyherd_config::{clock, config::Config};
use proxyherd_data::restore::{Restoration, Source, TargetHerd, Wanted, restore};
use proxyherd_log::escape;

use super::{many, progress::Bar};
use crate::cli::{ConfigArgs, SetArgs, heading, load, serve};

const AFTER_HELP: &str = concat!(
    heading!("Examples"),
    "  proxyherd data restore riley.dump --name Riley
  zstd -dc riley.dump.zst | proxyherd data restore - --name Riley
  proxyherd data restore old-herd.dump --config new/herd.toml --name Ada --without-tokens

",
    heading!("Exit codes"),
    "  0   the new store is made
  1   nothing was restored: a wrong dump, a running server, or a store there
  2   the command line is wrong
  78  the configuration is wrong
",
);

/// Make a new store for a server from a dump
///
/// Stop the server first. The store appears as a whole when the last line of the dump was read; a dump with a wrong
/// line changes nothing. In the herd of the dump, records keep the names of their servers. In another herd, records of
/// servers that this herd does not have are taken in the name of the restoring server.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The dump; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    config: ConfigArgs,

    /// The server of the file that gets the store
    #[arg(long, short, value_name = "SERVER", env = "PROXYHERD_NAME")]
    name: String,

    /// Replace the store that the server has
    #[arg(long)]
    force: bool,

    /// Leave out tokens and shares. Otherwise whoever holds one can use it at this herd, too
    #[arg(long)]
    without_tokens: bool,

    #[command(flatten)]
    set: SetArgs,
}

/// Restores the dump, and says what was restored.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = load(&args.config, &args.set.set)?;
    let server = &serve::named(&config, &args.name)?.name;
    let (mut input, name, len) = open(args)?;
    let bar = Bar::new("Restoring");
    let herd = target(&config);
    let wanted = Wanted { herd: &herd, server, with_tokens: !args.without_tokens, replaces: args.force };
    let source = Source { input: &mut input, name: &name, len };
    let done = restore(source, &wanted, clock::now_ns(), clock::random(), &mut |share| bar.set(share))?;
    drop(bar);
    write!(anstream::stdout(), "{}", summary(&done, &config.herd.id))?;
    Ok(())
}

/// What a restore needs to know of the herd in herd.toml.
fn target(config: &Config) -> TargetHerd {
    TargetHerd {
        id: config.herd.id.clone(),
        data: config.herd.data.clone(),
        servers: config.names().iter().cloned().collect(),
        client_ttl: config.herd.client_ttl,
        clock_offset_max: config.herd.clock_offset_max,
    }
}

/// The dump, its name, and its length in bytes, if that is known.
fn open(args: &Args) -> anyhow::Result<(Box<dyn Read>, String, Option<u64>)> {
    if args.file.as_os_str() == "-" {
        return Ok((Box::new(io::stdin()), "standard input".to_owned(), None));
    }
    let name = args.file.display().to_string();
    let cannot = || format!("cannot read {name}");
    let file = File::open(&args.file).with_context(cannot)?;
    let len = Some(file.metadata().with_context(cannot)?.len()).filter(|len| *len > 0);
    Ok((Box::new(file), name, len))
}

fn summary(done: &Restoration, herd: &str) -> String {
    let mut text = format!("Restored {} into {}\n", many(done.records.total(), "record"), done.dir.display());
    text += &format!(
        "  {}, {}, {}\n",
        many(done.records.clients, "client"),
        many(done.records.tombstones, "tombstone"),
        many(done.records.tokens, "token")
    );
    if done.header.herd != herd {
        let from = escape::shown(done.header.herd.as_bytes());
        text += &format!(
            "  from another herd, {from}; taken in the name of this server: {}\n",
            many(done.adopted, "record")
        );
    }
    if done.left_out > 0 {
        text += &format!(
            "  left out, as they are tokens, shares or accounts of places budgets: {}\n",
            many(done.left_out, "record")
        );
    }
    if done.stale > 0 {
        text += &format!(
            "  expired, or replaced by a newer record of the dump: {}\n",
            many(done.stale, "record")
        );
    }
    if done.refused > 0 {
        text += &format!("  refused, because there is no room for them: {}\n", many(done.refused, "record"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use proxyherd_config::config::Overrides;
    use proxyherd_core::types::ServerName;

    use super::*;

    #[test]
    fn a_restore_follows_the_settings_of_the_herd_that_it_is_for() {
        let text = r#"
            [herd]
            id = "new-herd"
            data = "kept"
            tls = "off"
            client_ttl_s = 3600
            max_clock_offset_s = 7

            [[server]]
            name = "Ada"
            listen = "127.0.0.1:12000"

            [[server]]
            name = "Riley"
            listen = "127.0.0.1:12001"
        "#;
        let config = Config::read(text, Path::new("/etc/herd.toml"), &Overrides::none()).unwrap();
        let servers = ["Ada", "Riley"].map(|name| ServerName::new(name).unwrap());
        let herd = TargetHerd {
            id: "new-herd".to_owned(),
            data: PathBuf::from("/etc/kept"),
            servers: servers.into(),
            client_ttl: Some(Duration::from_secs(3600)),
            clock_offset_max: Duration::from_secs(7),
        };
        assert_eq!(target(&config), herd);
    }
}
