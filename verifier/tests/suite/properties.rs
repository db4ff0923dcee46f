//! Whatever comes, the verifier answers, and only the issuer's own tokens pass.

use std::sync::LazyLock;

use onyx_verifier::{Algorithm, Verifier};
use proptest::prelude::*;

use crate::issuer::{NOW, claims, encode, header, key, verifier};

static VERIFIER: LazyLock<Verifier> = LazyLock::new(verifier);
static GOOD: LazyLock<String> =
    LazyLock::new(|| key(Algorithm::EdDsa).token(header(Algorithm::EdDsa), claims()));

proptest! {
    #[test]
    fn no_text_passes(text in any::<String>()) {
        prop_assert!(VERIFIER.verify_at(&text, NOW).is_err());
    }

    #[test]
    fn no_bytes_in_three_parts_pass(parts: [Vec<u8>; 3]) {
        let token = parts.map(encode).join(".");
        prop_assert!(VERIFIER.verify_at(&token, NOW).is_err());
    }

    #[test]
    fn no_json_in_a_header_passes(value in r#"[\[\]{}":,a-z0-9.\\ -]{0,60}"#) {
        let token = format!("{}.e30.AA", encode(format!("{{\"alg\":{value}}}")));
        prop_assert!(VERIFIER.verify_at(&token, NOW).is_err());
    }

    #[test]
    fn a_token_with_one_character_changed_does_not_pass(
        at in any::<prop::sample::Index>(),
        with in "[A-Za-z0-9_.=-]",
    ) {
        let mut token = GOOD.clone();
        let at = at.index(token.len());
        token.replace_range(at..=at, &with);
        prop_assert_eq!(VERIFIER.verify_at(&token, NOW).is_ok(), token == *GOOD);
    }
}
