use super::*;

fn claims(rsn: Option<u64>) -> Claims {
    let mut claims: Claims = serde_json::from_str(
        r#"{"iss":"i","sub":"c","client_id":"c","aud":"a","scope":"orders:create orders:read",
            "iat":100,"exp":400,"jti":"j","partner_id":"p","credential_id":"k"}"#,
    )
    .expect("claims");
    claims.rsn = rsn;
    claims
}

fn entry(seq: u64, kind: RevocationKind, id: &str) -> Revocation {
    Revocation {
        seq,
        kind,
        id: id.to_owned(),
        scope: (kind == RevocationKind::Grant).then(|| "orders:read".to_owned()),
        revoked_at: 100,
        expires_at: 1_065,
    }
}

#[test]
fn every_height_kills_what_was_issued_before_it_and_nothing_after() {
    for (kind, id) in [
        (RevocationKind::Token, "j"),
        (RevocationKind::Credential, "k"),
        (RevocationKind::Client, "c"),
        (RevocationKind::Partner, "p"),
        (RevocationKind::Grant, "p"),
    ] {
        let revocations = Revocations::default();
        revocations.apply(&entry(5, kind, id));
        let dead = |rsn| revocations.is_revoked(&claims(Some(rsn)), "kid");
        assert_eq!([4, 5, 6].map(dead), [true, false, false], "{kind:?}");
        let other = entry(9, kind, "another");
        let revocations = Revocations::default();
        revocations.apply(&other);
        assert!(!revocations.is_revoked(&claims(Some(0)), "kid"), "{kind:?}");
    }
}

#[test]
fn a_revoked_key_kills_what_it_signed_whatever_that_says_and_is_not_forgotten() {
    let revocations = Revocations::default();
    revocations.apply(&entry(5, RevocationKind::Key, "kid"));
    revocations.forget_before(i64::MAX);
    let mut forged = claims(None);
    forged.iat = i64::MAX;
    for claims in [claims(Some(4)), claims(Some(u64::MAX)), forged] {
        assert!(revocations.is_revoked(&claims, "kid"));
        assert!(!revocations.is_revoked(&claims, "another"));
    }
}

#[test]
fn a_revoked_key_stays_dead_however_often_the_feed_begins_anew() {
    let revocations = Revocations::default();
    revocations.apply(&entry(5, RevocationKind::Key, "kid"));
    revocations.apply(&entry(6, RevocationKind::Client, "c"));
    for entries in [
        vec![],
        vec![entry(2, RevocationKind::Key, "another")],
        vec![],
    ] {
        revocations.replace(&entries);
        for rsn in [None, Some(0), Some(u64::MAX)] {
            assert!(revocations.is_revoked(&claims(rsn), "kid"), "{rsn:?}");
        }
        // Of all else only what the feed says now counts.
        assert!(!revocations.is_revoked(&claims(Some(0)), "good"));
    }
    assert!(revocations.is_revoked(&claims(None), "another"));
    assert_eq!(revocations.len(), 2);
}

#[test]
fn many_revoked_keys_leave_room_for_what_comes_after_them() {
    let revocations = Revocations::default();
    let name = |seq: u64| format!("kid{seq}");
    for seq in 1..=1_000 {
        revocations.apply(&entry(seq, RevocationKind::Key, &name(seq)));
    }
    revocations.replace(&[entry(1, RevocationKind::Client, "c")]);
    assert!((1..=1_000).all(|seq| revocations.is_revoked(&claims(Some(9)), &name(seq))));
    assert!(revocations.is_revoked(&claims(Some(0)), "good"));
    assert!(!revocations.is_revoked(&claims(Some(1)), "good"));
}

#[test]
fn a_grant_kills_only_tokens_that_carry_its_scope() {
    let revocations = Revocations::default();
    revocations.apply(&entry(5, RevocationKind::Grant, "p"));
    let mut narrow = claims(Some(0));
    narrow.scope = "orders:create".to_owned();
    assert!(!revocations.is_revoked(&narrow, "kid"));
}

#[test]
fn many_are_held_and_forgotten_and_none_is_overlooked() {
    let revocations = Revocations::default();
    let kinds = [RevocationKind::Client, RevocationKind::Grant];
    for seq in 1..=2_000 {
        let kind = kinds[usize::try_from(seq).expect("a small number") % 2];
        revocations.apply(&Revocation {
            expires_at: i64::try_from(seq).expect("a small number"),
            ..entry(seq, kind, &format!("p{seq}"))
        });
    }
    let dead = |seq: u64| {
        let mut claims = claims(Some(0));
        claims.client_id = format!("p{seq}");
        claims.partner_id = Some(format!("p{seq}"));
        revocations.is_revoked(&claims, "kid")
    };
    assert!((1..=2_000).all(dead));
    assert!(!dead(2_001) && !dead(0));
    revocations.forget_before(1_501);
    assert!((1..=1_500).all(|seq| !dead(seq)) && (1_501..=2_000).all(dead));
    assert_eq!(revocations.len(), 500);
}

#[test]
fn the_newest_of_a_subject_counts_whatever_the_order_of_hearing() {
    let revocations = Revocations::default();
    for seq in [7, 3] {
        revocations.apply(&entry(seq, RevocationKind::Client, "c"));
    }
    assert!(revocations.is_revoked(&claims(Some(6)), "kid"));
    assert_eq!(revocations.len(), 1);
}

#[test]
fn a_token_without_a_number_is_judged_by_its_time() {
    let revocations = Revocations::default();
    revocations.apply(&entry(5, RevocationKind::Client, "c"));
    assert!(revocations.is_revoked(&claims(None), "kid"));
    let mut later = claims(None);
    later.iat = 101;
    assert!(!revocations.is_revoked(&later, "kid"));
}

#[test]
fn what_can_concern_no_living_token_is_forgotten() {
    let revocations = Revocations::default();
    revocations.apply(&entry(5, RevocationKind::Client, "c"));
    revocations.forget_before(1_065);
    assert_eq!(revocations.len(), 1);
    revocations.forget_before(1_066);
    assert!(revocations.is_empty());
}
