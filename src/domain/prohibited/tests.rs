mod harmless;

use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;

#[test]
fn card_numbers_are_found_however_they_are_grouped() {
    // The payment schemes' published test numbers.
    let cards = [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "card 5555 5555 5555 4444 exp 12/27",
        "5105.1051.0510.5100",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "6200000000000005",
        "pay 4242424242424242 1227 123",
        "４２４２４２４２４２４２４２４２",
        "٤١١١١١١١١١١١١١١١",
        "४१११-११११-११११-११११",
        "4111  1111 1111  1111",
        "4111 - 1111 - 1111 - 1111",
        "4111/1111/1111/1111",
        "4111_1111_1111_1111",
        "4111,1111,1111,1111",
        "4111\u{2013}1111\u{2013}1111\u{2013}1111",
        "4111\u{2011}1111\u{2011}1111\u{2011}1111",
        "4111\u{2212}1111\u{2212}1111\u{2212}1111",
        "4111\u{a0}1111\u{2009}1111\u{a0}1111",
        "4111\u{200b}1111\u{ad}1111\u{2060}1111",
        "411111111\u{200b}1111111",
        "4 1 1 1  1 1 1 1  1 1 1 1  1 1 1 1",
        "41 11 11 11 11 11 11 11",
        "3056 930902 5904",
        "6205500000000000004",
        "620550 0000000000004",
    ];
    for text in cards {
        assert_eq!(in_text(text), Some(Material::CardNumber), "{text}");
    }
}

#[test]
fn what_stands_beside_a_card_does_not_hide_it() {
    for text in [
        "Q4 4111 1111 1111 1111",
        "card1 4111111111111111",
        "MC1 5555 5555 5555 4444",
        "PO12 4111111111111111",
        "Room 12B 4111111111111111",
        "4111 1111 1111 1111 3DS",
        "4111111111111111 2nd card",
        "+49 170 1234567 4111111111111111",
        "+49 170 123 4567 4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00 5555 5555 5555 4444",
        "2026-11-27 4111 1111 1111 1111",
        "4111 1111 1111 1111 12/27 123",
        "4111-1111-1111-1111-12-27",
        "4111 1111 1111 1111 123",
        "1;4111111111111111;12/27",
        "4111111111111111,5555555555554444",
        "No.4111111111111111.",
        "4111111111111111.0",
        "card\u{200b}4111111111111111",
    ] {
        assert_eq!(in_text(text), Some(Material::CardNumber), "{text}");
    }
}

#[test]
fn numbers_that_are_no_cards_pass() {
    let others = [
        "4111111111111112",
        "+49 30 4111 1111 1111",
        "1764161000000",
        "1764161000000000",
        "8949012345678901234",
        "a4111111111111111b",
        "order_4111111111111111",
        "2026-11-26 12:30:45",
        "4006381333931",
        "20261126123045",
        // Each of these has a card's digits in it, but not as cards have them.
        "52.36000000000008",
        "52,36000000000008",
        "N52.36000000000008",
        "30.5.69.30 9.02.59.04",
        "304-3906483-7831610",
        "4111111111-111111",
        "41-111111-111111-11",
        "8944 4111 1111 1111 1111",
        "4111 1111 1111 1111 1111",
        "AT61 4111 1111 1111 1111",
        "RF18 4111 1111 1111 1111",
        "41111111 11111111",
        "4111, 1111, 1111, 1111",
        "4111 1111-1111 1111",
        "4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
    ];
    for text in others {
        assert_eq!(in_text(text), None, "{text}");
    }
}

#[test]
fn private_keys_are_found_by_their_head() {
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let text = format!("see -----BEGIN {label}-----\\nMIIE");
        assert_eq!(in_text(&text), Some(Material::PrivateKey), "{label}");
    }
    assert_eq!(in_text("-----BEGIN CERTIFICATE----- no PRIVATE KEY"), None);
}

#[test]
fn recovery_phrases_are_found_in_every_language_and_with_anything_between() {
    use bip39::{Language, Mnemonic};
    for language in Language::ALL {
        for entropy in [16, 24, 32] {
            let bytes: Vec<u8> = (0..entropy)
                .map(|i: u8| i.wrapping_mul(37).wrapping_add(11))
                .collect();
            let phrase = Mnemonic::from_entropy_in(*language, &bytes).unwrap();
            let words: Vec<&str> = phrase.words().collect();
            let numbered: Vec<String> = words
                .iter()
                .enumerate()
                .map(|(n, word)| format!("{}. {word},", n + 1))
                .collect();
            for text in [
                words.join(" "),
                numbered.join("\n"),
                format!("seed: {} !", words.join(" ")),
            ] {
                assert_eq!(
                    in_text(&text),
                    Some(Material::RecoveryPhrase),
                    "{language:?} {text}"
                );
            }
        }
    }
    // The right words with a wrong checksum.
    assert_eq!(in_text(&["abandon"; 12].join(" ")), None);
    assert_eq!(in_text(&["abandon"; 11].join(" ")), None);
}

#[test]
fn one_time_codes_are_found_beside_words_that_tell() {
    for text in [
        "your verification code is 493817",
        "OTP: 4821",
        "4821 is your one-time code",
        "2FA 123 456",
        "Ihr Einmalcode lautet 993311",
        "验证码：482913",
        "verification_code=493817",
        "one-time_code 493817",
        "otpCode: 493817",
        "2FA: 493\u{2013}817",
        "OTP ٤٩٣٨١٧",
    ] {
        assert_eq!(in_text(text), Some(Material::OneTimeCode), "{text}");
    }
    for text in [
        "postal code 10115",
        "discount code SUMMER 2026",
        "pin code 560001",
        "option 4821",
        "verification code follows by mail",
        "the verification code stands in the letter that went out to the customer in 2026",
        "one-time password sent 2026-11-27",
        "2FA since 12.11.2026",
    ] {
        assert_eq!(in_text(text), None, "{text}");
    }
}

#[test]
fn a_name_tells_of_a_one_time_code() {
    for name in [
        "otp",
        "OTP",
        "totp",
        "passcode",
        "otp_code",
        "otpCode",
        "one-time code",
        "oneTimePassword",
        "verification code",
        "verification_code",
        "sms-tan",
        "smsTan",
    ] {
        let found = in_named(name, "493817");
        assert_eq!(found, Some(Material::OneTimeCode), "{name}");
        assert_eq!(in_named(name, "by mail"), None, "{name}");
    }
    for (name, text) in [
        ("code", "493817"),
        ("pin", "4821"),
        ("postal_code", "10115"),
        ("option", "493817"),
        ("otp_sent_at", "2026-11-27T10:15:00Z"),
        ("security_code", "on the back"),
    ] {
        assert_eq!(in_named(name, text), None, "{name}: {text}");
    }
    // A text that is prohibited by itself is so under any name.
    let card = in_named("note", "4111 1111 1111 1111");
    assert_eq!(card, Some(Material::CardNumber));
}

#[test]
fn secrets_and_tokens_are_found() {
    let secret = PlainSecret::generate(crate::domain::realm::Realm::Live).unwrap();
    assert_eq!(
        in_text(&format!("use {}.", secret.expose())),
        Some(Material::ClientSecret)
    );
    assert_eq!(
        in_text("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        Some(Material::ClientSecret)
    );
    let token =
        "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
    assert_eq!(in_text(&format!("Bearer {token}")), Some(Material::Token));
    assert_eq!(in_text("onyx_live_sk_ is how secrets begin"), None);
    assert_eq!(in_text("eyJ is how tokens begin"), None);
}

#[test]
fn references_may_be_ids_and_no_bare_long_numbers() {
    for reference in [
        "1234567890123",
        "4111 1111 1111 1112",
        "1234567890123456789",
    ] {
        assert_eq!(
            in_reference(reference),
            Some(Material::LongNumber),
            "{reference}"
        );
    }
    for reference in [
        "123456789012",
        "12345678901234567890",
        "PO-2026-000123",
        "order-1234567890123",
        "41111111-1111-4111-8111-111111111111",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        assert_eq!(in_reference(reference), None, "{reference}");
    }
    assert_eq!(
        in_reference("order 4111111111111111"),
        Some(Material::CardNumber)
    );
}

/// What partners write into references and metadata, made up: under one in 100,000 may be taken
/// for something that it is not.
#[test]
fn hardly_anything_harmless_is_refused() {
    const ROUNDS: usize = 5_000;
    let mut random = SmallRng::seed_from_u64(7);
    let mut refused = Vec::new();
    for (kind, text) in harmless::KINDS {
        for _ in 0..ROUNDS {
            let text = text(&mut random);
            let found = in_text(&text).map(|material| (*kind, material, text));
            refused.extend(found);
        }
    }
    let all = ROUNDS * harmless::KINDS.len();
    assert!(
        refused.len() * 100_000 < all,
        "{} of {all}: {refused:#?}",
        refused.len()
    );
}

/// Were any search to look again and again at what follows, this would take minutes.
#[test]
fn hostile_text_takes_time_in_proportion_to_its_length() {
    const LENGTH: usize = 256 * 1024;
    let token = format!("{}.", "eyJ".repeat(300));
    let shapes = [
        "4 ",
        "4444 ",
        "4",
        "+4 ",
        "onyx_",
        "whsec_",
        "eyJ",
        &token,
        "-----BEGIN",
        "abandon ",
        "4\u{200b}",
    ];
    for shape in shapes {
        let text = shape.repeat(LENGTH / shape.len());
        assert_eq!(in_text(&text), None, "{shape}");
    }
    let far = format!("{}{}", "otp ".repeat(LENGTH / 8), " x".repeat(20));
    let codes = "1234 ".repeat(LENGTH / 10);
    assert_eq!(in_text(&format!("{far} {codes}")), None);
}

proptest! {
    #[test]
    fn any_text_is_looked_through_without_harm(text in "\\PC{0,300}") {
        let _ = in_text(&text);
        let _ = in_reference(&text);
    }

    /// A card is found wherever it stands among words.
    #[test]
    fn a_card_is_found_among_words(before in "[a-z ]{0,20} ", after in " [a-z ]{0,20}") {
        let text = format!("{before}4111 1111 1111 1111{after}");
        prop_assert_eq!(in_text(&text), Some(Material::CardNumber));
    }
}
