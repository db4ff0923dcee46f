//! Full card numbers: issuer ranges and the check digit (ISO/IEC 7812-1, Annex B), in the groups
//! in which people write them.

use super::groups::{self, Group};

/// Whether plain text holds a number that a card could have.
///
/// A number that is part of a word, such as a hash's digits, of a telephone's or an account's, of
/// a fraction, or of a longer number in groups is none.
pub(super) fn is_in(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(c) = characters.get(at) {
        if !c.is_ascii_digit() {
            at += 1;
            continue;
        }
        let (groups, end) = groups::together(&characters, at);
        if (0..groups.len()).any(|from| begins_card(&groups, from)) {
            return true;
        }
        at = end;
    }
    false
}

/// The groups in which cards' numbers are written, with what those begin with. Other numbers come
/// in groups, too: what is not here is left to them.
const SHAPES: &[(&str, &[usize])] = &[
    ("", &[4, 4, 4, 4]),
    ("", &[4, 4, 4, 4, 1]),
    ("", &[4, 4, 4, 4, 2]),
    ("", &[4, 4, 4, 4, 3]),
    // American Express
    ("3", &[4, 6, 5]),
    // Diners Club
    ("3", &[4, 6, 4]),
    // UnionPay
    ("62", &[6, 13]),
    // Digit by digit, and in pairs
    ("", &[1; 14]),
    ("", &[1; 15]),
    ("", &[1; 16]),
    ("", &[2; 8]),
];

/// Whether a card's number begins with a group: an expiry or an amount may stand beside it.
fn begins_card(groups: &[Group], from: usize) -> bool {
    is_card_in_one(groups, from)
        || SHAPES
            .iter()
            .any(|(first, shape)| is_card_in_groups(groups, from, first, shape))
}

fn is_card_in_one(groups: &[Group], at: usize) -> bool {
    let Some(group) = groups.get(at).filter(|group| !group.is_of_word) else {
        return false;
    };
    let before = at.checked_sub(1).and_then(|i| groups.get(i));
    let is_fraction = match group.joint {
        Some('.') => true,
        // As many write a fraction; behind a longer number it parts the numbers of a list.
        Some(',') => before.is_some_and(|whole| whole.len() < 4),
        _ => false,
    };
    !is_fraction && is_card(&group.digits)
}

fn is_card_in_groups(groups: &[Group], from: usize, first: &str, shape: &[usize]) -> bool {
    let end = from + shape.len();
    let Some(own) = groups.get(from..end).filter(|own| has_shape(own, shape)) else {
        return false;
    };
    let [one, second, ..] = own else {
        return false;
    };
    // Where groups of one length go on before or behind, it is a part of another number.
    let before = from.checked_sub(1).and_then(|i| groups.get(i));
    let goes_on = |one: Option<&Group>, next: Option<&Group>| {
        let next = next.filter(|next| next.joint == second.joint);
        next.is_some() && next.map(Group::len) == one.map(Group::len)
    };
    let is_of_equals = one.len() == second.len();
    if is_of_equals && (goes_on(before, Some(one)) || goes_on(groups.get(end - 1), groups.get(end)))
    {
        return false;
    }
    let number: String = own.iter().map(|group| group.digits.as_str()).collect();
    one.joint != Some('.') && number.starts_with(first) && is_card(&number)
}

/// Whether groups have these lengths, and one mark between them all: short ones a space or a hyphen.
fn has_shape(groups: &[Group], shape: &[usize]) -> bool {
    let joint = groups.get(1).and_then(|second| second.joint);
    let may_join = matches!(joint, Some(' ' | '-')) || shape.iter().all(|length| *length >= 4);
    let fits = |(group, length): (&Group, &usize)| group.len() == *length && !group.is_of_word;
    may_join
        && groups.iter().zip(shape).all(fits)
        && groups.iter().skip(1).all(|group| group.joint == joint)
}

/// Issuer ranges: the first digits from and to, and the lengths that their numbers have. Those of
/// 12 and 13 digits, which are issued no more, are left to other numbers.
const ISSUERS: &[(u32, u32, &[usize])] = &[
    // Visa
    (4, 4, &[16, 19]),
    // Mastercard
    (51, 55, &[16]),
    (2221, 2720, &[16]),
    // American Express
    (34, 34, &[15]),
    (37, 37, &[15]),
    // Diners Club
    (300, 305, &[14, 16, 19]),
    (3095, 3095, &[14, 16, 19]),
    (36, 36, &[14, 16, 19]),
    (38, 39, &[14, 16, 19]),
    // Discover
    (6011, 6011, &[16, 19]),
    (644, 649, &[16, 19]),
    (65, 65, &[16, 19]),
    // JCB
    (3528, 3589, &[16, 19]),
    // UnionPay
    (62, 62, &[16, 17, 18, 19]),
    (81, 81, &[16, 17, 18, 19]),
    // RuPay
    (508, 508, &[16]),
    (60, 60, &[16]),
    (82, 82, &[16]),
    // Maestro
    (5018, 5018, &[16, 17, 18, 19]),
    (5020, 5020, &[16, 17, 18, 19]),
    (5038, 5038, &[16, 17, 18, 19]),
    (5893, 5893, &[16, 17, 18, 19]),
    (6304, 6304, &[16, 17, 18, 19]),
    (6759, 6759, &[16, 17, 18, 19]),
    (6761, 6763, &[16, 17, 18, 19]),
    // Mir
    (2200, 2204, &[16, 17, 18, 19]),
];

fn is_card(number: &str) -> bool {
    (14..=19).contains(&number.len()) && has_issuer(number) && passes_luhn(number)
}

fn has_issuer(number: &str) -> bool {
    ISSUERS.iter().any(|(from, to, lengths)| {
        let digits = from.checked_ilog10().map_or(1, |log| log as usize + 1);
        lengths.contains(&number.len())
            && number
                .get(..digits)
                .and_then(|first| first.parse::<u32>().ok())
                .is_some_and(|first| (*from..=*to).contains(&first))
    })
}

/// Every second digit from the right is doubled, the digits of all are added up: a multiple of ten.
fn passes_luhn(number: &str) -> bool {
    let sum: u32 = number
        .chars()
        .rev()
        .filter_map(|c| c.to_digit(10))
        .enumerate()
        .map(|(place, digit)| match (place % 2, digit * 2) {
            (0, _) => digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}
