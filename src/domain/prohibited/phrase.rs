//! Recovery phrases: words of a BIP-39 list with their checksum.

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;

use bip39::{Language, Mnemonic};
use unicode_normalization::UnicodeNormalization;

/// Each list's words, with a bit for each language that has it: the lists themselves are searched
/// from end to end, which a hostile text would make dear.
static LISTS: LazyLock<HashMap<&'static str, u16>> = LazyLock::new(|| {
    let mut lists = HashMap::new();
    for (bit, language) in Language::ALL.iter().enumerate() {
        for word in language.word_list() {
            *lists.entry(*word).or_default() |= 1 << bit;
        }
    }
    lists
});

/// How many words a phrase has.
const LENGTHS: [usize; 5] = [12, 15, 18, 21, 24];
const LONGEST: usize = 24;

/// Whether text holds a phrase, whatever stands between its words.
pub(super) fn is_in(text: &str) -> bool {
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphabetic() || is_mark(c)))
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().nfkd().collect())
        .collect();
    let shortest = LENGTHS.iter().copied().min().unwrap_or(usize::MAX);
    if words.len() < shortest {
        return false;
    }
    let languages: Vec<u16> = words
        .iter()
        .map(|word| LISTS.get(word.as_str()).copied().unwrap_or(0))
        .collect();
    Language::ALL
        .iter()
        .enumerate()
        .any(|(bit, language)| holds_phrase(*language, 1 << bit, &words, &languages))
}

/// An accent that stands apart from its letter belongs to the word.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}')
}

fn holds_phrase(language: Language, bit: u16, words: &[String], languages: &[u16]) -> bool {
    let mut run: VecDeque<&str> = VecDeque::with_capacity(LONGEST);
    for (word, in_lists) in words.iter().zip(languages) {
        if in_lists & bit == 0 {
            run.clear();
            continue;
        }
        if run.len() == LONGEST {
            run.pop_front();
        }
        run.push_back(word);
        // Each phrase is looked for where it ends.
        let ends_one = LENGTHS
            .iter()
            .filter(|length| **length <= run.len())
            .any(|length| {
                let from = run.len() - length;
                let phrase: Vec<&str> = run.range(from..).copied().collect();
                Mnemonic::parse_in_normalized(language, &phrase.join(" ")).is_ok()
            });
        if ends_one {
            return true;
        }
    }
    false
}
