//! Recovery phrases: words of a BIP-39 list with their checksum.

use std::collections::HashMap;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use bip39::Language;
use unicode_normalization::UnicodeNormalization;

/// The lists' words, with the languages that have each, and its number there: the lists themselves
/// are searched from end to end, which a hostile text would make dear.
static LISTS: LazyLock<HashMap<&'static str, Vec<(Language, u16)>>> = LazyLock::new(|| {
    let mut lists = HashMap::<_, Vec<_>>::new();
    for language in Language::ALL {
        for (number, word) in (0..).zip(language.word_list()) {
            lists.entry(*word).or_default().push((*language, number));
        }
    }
    lists
});

/// How many words a phrase has.
const LENGTHS: [usize; 5] = [12, 15, 18, 21, 24];

/// Whether text holds a phrase, whatever stands between its words.
pub(super) fn is_in(text: &str) -> bool {
    let words: Vec<&[(Language, u16)]> = text
        .split(|c: char| !(c.is_alphabetic() || is_mark(c)))
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().nfkd().collect::<String>())
        .map(|word| LISTS.get(word.as_str()).map_or(&[][..], Vec::as_slice))
        .collect();
    let shortest = LENGTHS.iter().copied().min().unwrap_or(usize::MAX);
    words.len() >= shortest
        && Language::ALL
            .iter()
            .any(|language| holds_phrase(*language, &words))
}

/// An accent that stands apart from its letter belongs to the word.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}')
}

fn holds_phrase(language: Language, words: &[&[(Language, u16)]]) -> bool {
    let mut run = Vec::new();
    for word in words {
        let Some((_, number)) = word.iter().find(|(listed, _)| *listed == language) else {
            run.clear();
            continue;
        };
        run.push(*number);
        // Each phrase is looked for where it ends.
        let ends_one = LENGTHS.iter().any(|length| {
            let phrase = run
                .len()
                .checked_sub(*length)
                .and_then(|from| run.get(from..));
            phrase.is_some_and(has_checksum)
        });
        if ends_one {
            return true;
        }
    }
    false
}

/// Whether words end as their checksum says. Each is eleven bits; for each three words, one bit
/// is the checksum's (BIP-39, "Generating the mnemonic").
fn has_checksum(phrase: &[u16]) -> bool {
    let (mut entropy, mut held, mut bits) = (Vec::with_capacity(33), 0u32, 0);
    for number in phrase {
        held = held << 11 | u32::from(*number);
        bits += 11;
        while bits >= 8 {
            bits -= 8;
            entropy.push((held >> bits) as u8);
        }
    }
    entropy.truncate(phrase.len() / 3 * 4);
    let sum_bits = phrase.len() / 3;
    let sum = digest(&SHA256, &entropy)
        .as_ref()
        .first()
        .map(|byte| byte >> (8 - sum_bits));
    let told = phrase.last().map(|number| number & ((1 << sum_bits) - 1));
    sum.map(u16::from) == told
}
