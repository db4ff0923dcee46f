use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

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
    ];
    for text in cards {
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
    ] {
        assert_eq!(in_text(text), None, "{text}");
    }
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
    let mut random = SmallRng::seed_from_u64(7);
    let mut refused = Vec::new();
    const ROUNDS: usize = 200_000;
    for _ in 0..ROUNDS {
        let text = harmless(&mut random);
        if let Some(material) = in_text(&text) {
            refused.push((material, text));
        }
    }
    assert!(
        refused.len() * 100_000 < ROUNDS,
        "{} of {ROUNDS}: {refused:?}",
        refused.len()
    );
}

fn harmless(random: &mut SmallRng) -> String {
    const NAMES: [&str; 12] = [
        "Ada Lovelace",
        "Grace Hopper",
        "José García",
        "Zoë Müller",
        "李小龙",
        "Nguyễn Văn An",
        "O'Brien",
        "abandon ability able",
        "Card holder",
        "security desk",
        "code review",
        "pin board",
    ];
    let name = NAMES[random.random_range(0..NAMES.len())];
    let digits = |random: &mut SmallRng, count: usize| -> String {
        (0..count)
            .map(|_| char::from(b'0' + random.random_range(0..10u8)))
            .collect()
    };
    match random.random_range(0..16u8) {
        0 => name.to_owned(),
        1 => format!(
            "PO-{}-{}",
            random.random_range(2020..2031),
            digits(random, 6)
        ),
        2 => format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            random.random::<u32>(),
            random.random::<u16>(),
            random.random_range(0..0x1000),
            random.random_range(0..0x1000),
            random.random_range(0..1u64 << 48)
        ),
        3 => format!(
            "{:016x}{:016x}",
            random.random::<u64>(),
            random.random::<u64>()
        ),
        4 => format!(
            "+{} {} {}",
            random.random_range(1..99),
            digits(random, 3),
            digits(random, 8)
        ),
        5 => format!(
            "{} Street {}, {} Town",
            name,
            random.random_range(1..300),
            digits(random, 5)
        ),
        6 => format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            random.random_range(1..13),
            random.random_range(1..29),
            random.random_range(0..24),
            random.random_range(0..60),
            random.random_range(0..60)
        ),
        7 => format!(
            "{}",
            1_700_000_000_000u64 + random.random_range(0..100_000_000_000)
        ),
        8 => format!("{}.{}", random.random_range(0..100_000), digits(random, 2)),
        9 => format!("inv_{}", digits(random, 14)),
        10 => format!("{}@example.com", digits(random, 9)),
        11 => format!(
            "https://shop.example/o/{}?a={}",
            digits(random, 10),
            digits(random, 4)
        ),
        12 => format!("lot {} / {}", digits(random, 6), digits(random, 5)),
        13 => format!("order {} of {}", digits(random, 8), name),
        14 => format!("89{}", digits(random, 17)),
        _ => format!(
            "v{}.{}.{}",
            random.random_range(0..30),
            random.random_range(0..30),
            digits(random, 3)
        ),
    }
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
