//! A herd's configuration, and addresses. Both never arrive in pieces, so the check cuts nothing. The program writes
//! them only as parts of messages.

use std::path::Path;

use proxyherd_config::config::{Address, Config, Overrides};

use crate::memory::bounded;

/// A file is a valid configuration, or each mistake in it can be shown. An address is shown as it was written.
pub fn check(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let read = || Config::read(text, Path::new("herd.toml"), &Overrides::none());
    match bounded(input.len(), 4096, 1 << 20, read) {
        Ok(config) => {
            for server in &config.servers {
                let links = config.links_of(&server.name);
                assert!(links.iter().all(|link| config.server(link.name.as_str()).is_some()));
                assert_eq!(config.nearest_server(server.name.as_str()), Some(server));
            }
            assert_eq!(read().as_ref(), Ok(&config), "the same text gives the same configuration");
        }
        Err(mistakes) => {
            assert!(mistakes.error_count() > 0);
            for mistake in mistakes.iter() {
                let _ = (mistake.render(80), mistake.to_string());
            }
        }
    }
    if let Ok(address) = text.parse::<Address>() {
        assert_eq!(address.to_string(), text);
        assert_eq!(address.to_string().parse::<Address>().as_ref(), Ok(&address));
    }
}
