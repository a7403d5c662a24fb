//! Shares: links that show one client's newest position to whoever has them, until they end.
//!
//! A share is a token of its own kind. Whoever may read a client may make shares of it, so with tokens off everybody
//! may. A share makes no shares. The token of a share is judged in the same way whether tokens are on or off
//! ([`Herd::authenticate_share`]).

use std::net::SocketAddr;

use proxyherd_config::{clock, door_kind::DoorKind};
use proxyherd_core::{
    access::{Maker, Share, TokenId, TokenRecord, TokenText},
    types::ClientId,
};
use proxyherd_log::{LogLevel, Subject};

use super::{Denied, Herd, TokenRefusal, access::Verb};
use crate::{
    access::{NoShare, TokenError},
    caller::{Caller, Rights},
};

impl Herd {
    /// Makes a share of a client that ends after `expires_s`, or with the caller's token, if that is sooner. The caller
    /// must be allowed to read the client, and must not be a share. Nobody can read the returned text again. The call
    /// counts in the rate of the caller's token. This waits for the disk.
    pub fn make_share(
        &self,
        caller: &Caller,
        now_ns: u64,
        client: ClientId<'_>,
        expires_s: u64,
    ) -> Result<(TokenText, TokenRecord), TokenRefusal> {
        let maker = maker(caller)?;
        Denied::unless_reads(caller, now_ns, client.as_bytes())?;
        Denied::unless_in_rate(caller, clock::monotonic_ns())?;
        let maker_ends_at_ns = caller.rights.grant().map_or(u64::MAX, |grant| grant.ends_at_ns());
        let share = Share::new(client, maker);
        let (text, record, wake) = self.audited(Verb::Make, caller, |before| {
            self.tokens.make_share(now_ns, share, expires_s, maker_ends_at_ns, before)
        })?;
        self.wake(wake);
        Ok((text, record))
    }

    /// The shares that show something, by ID: those that the caller has made, or all if the caller may operate.
    pub fn shares(&self, caller: &Caller, now_ns: u64) -> Result<Vec<(TokenId, TokenRecord)>, Denied> {
        let maker = maker(caller)?;
        Denied::unless_reads_some(caller, now_ns)?;
        let of = (!caller.rights.may_operate(now_ns)).then_some(&maker);
        Ok(self.tokens.shares(now_ns, of))
    }

    /// Revokes a share in the whole herd, for ever. The caller must have made the share, or be allowed to operate. This
    /// waits for the disk.
    pub fn revoke_share(&self, caller: &Caller, now_ns: u64, id: &TokenId) -> Result<(), TokenRefusal> {
        let caller_as_maker = maker(caller)?;
        Denied::unless_reads_some(caller, now_ns)?;
        let made_by = self.tokens.maker_of_share(now_ns, id).ok_or(TokenError::Unknown)?;
        if made_by != caller_as_maker && !caller.rights.may_operate(now_ns) {
            return Err(Denied::OthersShare.into());
        }
        self.revoke_audited(caller, now_ns, id)
    }

    /// The rights of a caller that shows the token of a share. They are the same whether tokens are on or off. A door
    /// must answer a wrong token after its delay.
    pub fn authenticate_share(
        &self,
        now_ns: u64,
        door: DoorKind,
        address: SocketAddr,
        text: &[u8],
    ) -> Result<Rights, NoShare> {
        let shown = self.tokens.share_of(now_ns, door, address.ip(), text);
        if let Err(NoShare::Wrong(_)) = shown {
            let message = format_args!("showed a token of no share ({} door)", door.label());
            self.log.event(LogLevel::Warn, Subject::Client(address), message);
        }
        shown.map(Rights::Token)
    }
}

/// The caller as the maker of shares.
fn maker(caller: &Caller) -> Result<Maker, Denied> {
    match &caller.rights {
        Rights::All => Ok(Maker::Anybody),
        Rights::None => Err(Denied::Read),
        Rights::Token(grant) => grant.as_maker().ok_or(Denied::Share),
    }
}

#[cfg(test)]
mod tests {
    use proxyherd_core::{
        access::Scopes,
        limits::{SHARE_EXPIRES_S_MAX, SHARE_KEPT_S, SHARES_MAX},
        types::IdPattern,
    };
    use proxyherd_streams::{StreamFilter, StreamKind, StreamKinds};

    use super::{
        super::tests::{alone, alone_with, caller},
        *,
    };
    use crate::{
        access::{NewToken, ShareOver},
        herd::{StreamRefusal, StreamRequest},
    };

    const NOW_NS: u64 = 1_700_000_000_000_000_000;
    const SECOND_NS: u64 = 1_000_000_000;
    const OPERATOR: &str = "phd_operator_a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5";
    const WITH_TOKENS: &str = "[access]\ntokens = \"on\"\noperator_token_sha256 = \
                               \"2d5d21b90bf8cef02453c02de382852d1b955939a711c20433ca7c35d738bd8c\"";

    fn client(id: &str) -> ClientId<'_> {
        ClientId::new(id.as_bytes()).unwrap()
    }

    /// A caller that shows this token.
    fn showing(herd: &Herd, now_ns: u64, token: &str) -> Caller {
        let known = caller(Rights::NONE);
        let rights = herd.authenticate(now_ns, known.door, known.address, token.as_bytes()).unwrap();
        Caller { rights, ..known }
    }

    /// A caller with a new token of these scopes, and the token's ID.
    fn with_scopes(herd: &Herd, scopes: &[&str], expires_s: Option<u64>) -> (Caller, TokenId) {
        let new = NewToken {
            scopes: Scopes::parse(scopes.iter().map(|scope| scope.as_bytes())).unwrap(),
            name: String::new(),
            expires_s,
            is_latest_only: false,
            clients_max: None,
            rate: None,
        };
        let (text, _) = herd.make_token(&showing(herd, NOW_NS, OPERATOR), NOW_NS, new).unwrap();
        (showing(herd, NOW_NS, text.reveal()), text.id().clone())
    }

    /// What the text of a share gives.
    fn shown(herd: &Herd, now_ns: u64, text: &TokenText) -> Result<Rights, NoShare> {
        let known = caller(Rights::NONE);
        herd.authenticate_share(now_ns, known.door, known.address, text.reveal().as_bytes())
    }

    fn is_over(shown: &Result<Rights, NoShare>, why: ShareOver) -> bool {
        matches!(shown, Err(NoShare::Over(over)) if *over == why)
    }

    #[test]
    fn a_share_gives_the_right_to_read_its_client_and_no_other_until_its_end() {
        let herd = alone_with(WITH_TOKENS);
        let (maker, _) = with_scopes(&herd, &["read:*", "places", "report:*"], None);
        for id in ["kiwi", "courier-*", "*"] {
            let (text, record) = herd.make_share(&maker, NOW_NS, client(id), 60).unwrap();
            assert_eq!(record.expires_at_ns, Some(NOW_NS + 60 * SECOND_NS));
            let reader = showing(&herd, NOW_NS, text.reveal());
            let rights = &reader.rights;
            assert!(rights.may_read(NOW_NS, id.as_bytes()) && rights.is_latest_only());
            assert!(!rights.may_read(NOW_NS, b"courier-7") && !rights.may_report_some(NOW_NS));
            assert!(!rights.may_ask_places(NOW_NS) && !rights.may_operate(NOW_NS));
            let end_ns = NOW_NS + 60 * SECOND_NS;
            assert!(shown(&herd, end_ns - 1, &text).unwrap().may_read(end_ns - 1, id.as_bytes()));
            assert!(!rights.may_read(end_ns, id.as_bytes()));
            assert!(is_over(&shown(&herd, end_ns, &text), ShareOver::Ended));
            let forgotten_ns = end_ns + (SHARE_KEPT_S + 2) * SECOND_NS;
            assert!(matches!(shown(&herd, forgotten_ns, &text), Err(NoShare::Wrong(_))));
        }
    }

    #[test]
    fn who_may_not_read_a_client_makes_no_share_of_it_and_a_share_makes_no_shares() {
        let herd = alone_with(WITH_TOKENS);
        let (maker, _) = with_scopes(&herd, &["read:kiwi", "report:*"], None);
        let denied = |made: Result<_, TokenRefusal>| match made {
            Err(TokenRefusal::Denied(denied)) => denied,
            other => panic!("{other:?}"),
        };
        let make = |caller: &Caller, id: &str| herd.make_share(caller, NOW_NS, client(id), 60);
        assert_eq!(denied(make(&maker, "other")), Denied::Read);
        assert_eq!(denied(make(&caller(Rights::NONE), "kiwi")), Denied::Read);
        let (text, _) = make(&maker, "kiwi").unwrap();
        let share = showing(&herd, NOW_NS, text.reveal());
        assert_eq!(denied(make(&share, "kiwi")), Denied::Share);
        assert_eq!(herd.shares(&share, NOW_NS).unwrap_err(), Denied::Share);
        assert!(herd.revoke_share(&share, NOW_NS, text.id()).is_err());
    }

    #[tokio::test]
    async fn a_share_shows_where_its_client_is_and_not_when_it_comes_and_goes() {
        let herd = alone_with(WITH_TOKENS);
        let now_ns = clock::now_ns();
        let (text, _) =
            herd.make_share(&showing(&herd, now_ns, OPERATOR), now_ns, client("kiwi"), 60).unwrap();
        let share = showing(&herd, now_ns, text.reveal());
        let open = |kinds| {
            let ids = IdPattern::parse(b"kiwi").into_iter().collect();
            let filter = StreamFilter { ids, ..StreamFilter::default() };
            herd.stream(&share, now_ns, StreamRequest { filter, kinds, last_event_id: None }, || ())
        };
        assert!(open(StreamKinds::default()).is_ok());
        let refused = open(StreamKinds::default().with(StreamKind::Presence)).unwrap_err();
        assert_eq!(refused, StreamRefusal::Denied(Denied::Presence));
    }

    #[test]
    fn a_share_ends_with_the_rights_of_its_maker() {
        let herd = alone_with(WITH_TOKENS);
        let operator = showing(&herd, NOW_NS, OPERATOR);
        let (brief, _) = with_scopes(&herd, &["read:kiwi"], Some(10));
        let (_, record) = herd.make_share(&brief, NOW_NS, client("kiwi"), 60).unwrap();
        assert_eq!(record.expires_at_ns, Some(NOW_NS + 10 * SECOND_NS), "not after the maker's token");

        let (maker, maker_id) = with_scopes(&herd, &["read:kiwi"], None);
        let (text, _) = herd.make_share(&maker, NOW_NS, client("kiwi"), 60).unwrap();
        let reader = showing(&herd, NOW_NS, text.reveal());
        assert!(reader.rights.may_read(NOW_NS, b"kiwi"));
        herd.revoke_token(&operator, NOW_NS, &maker_id).unwrap();
        assert!(!reader.rights.may_read(NOW_NS, b"kiwi"), "at once on open connections");
        assert!(is_over(&shown(&herd, NOW_NS, &text), ShareOver::MakerEnded));

        let (text, _) = herd.make_share(&operator, NOW_NS, client("kiwi"), 60).unwrap();
        let reader = showing(&herd, NOW_NS, text.reveal());
        herd.change_operator_token(Some([1; 32]));
        herd.tokens.recheck(NOW_NS);
        assert!(!reader.rights.may_read(NOW_NS, b"kiwi"));
        assert!(is_over(&shown(&herd, NOW_NS, &text), ShareOver::MakerEnded));
    }

    #[test]
    fn a_maker_lists_and_revokes_its_own_shares_and_an_operator_those_of_all() {
        let herd = alone_with(WITH_TOKENS);
        let operator = showing(&herd, NOW_NS, OPERATOR);
        let makers = ["read:kiwi", "read:*"].map(|scope| with_scopes(&herd, &[scope], None).0);
        let shares =
            makers.each_ref().map(|maker| herd.make_share(maker, NOW_NS, client("kiwi"), 60).unwrap().0);
        let listed = |caller: &Caller| {
            let shares = herd.shares(caller, NOW_NS).unwrap();
            shares.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        for (maker, share) in makers.iter().zip(&shares) {
            assert_eq!(listed(maker), [share.id().clone()]);
        }
        assert_eq!(listed(&operator).len(), 2);
        let tokens = herd.tokens(&operator, NOW_NS).unwrap();
        assert_eq!(tokens.len(), 2, "shares are not among the tokens");
        let others = herd.revoke_share(&makers[0], NOW_NS, shares[1].id());
        assert!(matches!(others, Err(TokenRefusal::Denied(Denied::OthersShare))), "{others:?}");
        let unknown = herd.revoke_share(&makers[0], NOW_NS, &tokens[0].0);
        assert!(matches!(unknown, Err(TokenRefusal::Failed(TokenError::Unknown))), "a token is no share");
        herd.revoke_share(&makers[0], NOW_NS, shares[0].id()).unwrap();
        herd.revoke_share(&makers[0], NOW_NS, shares[0].id()).unwrap();
        herd.revoke_share(&operator, NOW_NS, shares[1].id()).unwrap();
        assert!(listed(&operator).is_empty());
        assert!(shares.iter().all(|share| is_over(&shown(&herd, NOW_NS, share), ShareOver::Revoked)));
    }

    #[test]
    fn with_tokens_off_everybody_makes_shares_which_end_all_the_same() {
        let herd = alone();
        let anybody = caller(Rights::ALL);
        let (text, _) = herd.make_share(&anybody, NOW_NS, client("kiwi"), 60).unwrap();
        assert_eq!(herd.shares(&anybody, NOW_NS).unwrap().len(), 1);
        let reader = showing(&herd, NOW_NS, text.reveal());
        assert!(reader.rights.may_read(NOW_NS, b"kiwi") && !reader.rights.may_read(NOW_NS, b"other"));
        assert!(matches!(showing(&herd, NOW_NS, "anything").rights, Rights::All));
        herd.revoke_share(&anybody, NOW_NS, text.id()).unwrap();
        assert!(!reader.rights.may_read(NOW_NS, b"kiwi"));
        assert!(is_over(&shown(&herd, NOW_NS, &text), ShareOver::Revoked));
    }

    #[test]
    fn one_maker_has_only_so_many_shares_at_a_time() {
        let herd = alone();
        let anybody = caller(Rights::ALL);
        let make = |now_ns: u64| herd.make_share(&anybody, now_ns, client("kiwi"), SHARE_EXPIRES_S_MAX);
        let first = make(NOW_NS).unwrap().0;
        for _ in 1..SHARES_MAX {
            make(NOW_NS).unwrap();
        }
        let full = make(NOW_NS);
        assert!(matches!(full, Err(TokenRefusal::Failed(TokenError::TooManyShares))), "{full:?}");
        herd.revoke_share(&anybody, NOW_NS, first.id()).unwrap();
        make(NOW_NS).unwrap();
        assert!(make(NOW_NS).is_err());
        make(NOW_NS + SHARE_EXPIRES_S_MAX * SECOND_NS).unwrap();
    }
}
