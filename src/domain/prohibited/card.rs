//! Full card numbers: issuer ranges and the check digit (ISO/IEC 7812-1, Annex B).

/// Whether text holds a number that a card could have.
///
/// Digits may stand in groups with one space, hyphen or dot between them. A number that is part
/// of a word, such as a hash's digits, or that a plus sign makes a telephone's, is none.
pub(super) fn is_in(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(first) = characters.get(at) {
        if !first.is_ascii_digit() {
            at += 1;
            continue;
        }
        let run = Run::from(&characters, at);
        let before = at.checked_sub(1).and_then(|i| characters.get(i));
        let after = characters.get(run.end);
        let is_word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let is_telephone = before == Some(&'+');
        if !is_telephone && !is_word(before) && !is_word(after) && run.holds_card() {
            return true;
        }
        at = run.end;
    }
    false
}

/// Groups of digits with one separator between each two.
struct Run {
    groups: Vec<String>,
    end: usize,
}

impl Run {
    fn from(characters: &[char], start: usize) -> Self {
        let mut groups = vec![String::new()];
        let mut at = start;
        loop {
            match characters.get(at) {
                Some(digit) if digit.is_ascii_digit() => {
                    if let Some(group) = groups.last_mut() {
                        group.push(*digit);
                    }
                    at += 1;
                }
                Some(' ' | '-' | '.')
                    if characters.get(at + 1).is_some_and(char::is_ascii_digit) =>
                {
                    groups.push(String::new());
                    at += 1;
                }
                _ => return Self { groups, end: at },
            }
        }
    }

    /// Some groups in a row are a card number: an expiry or an amount may stand beside it.
    fn holds_card(&self) -> bool {
        (0..self.groups.len()).any(|from| {
            let mut number = String::new();
            self.groups.iter().skip(from).any(|group| {
                number.push_str(group);
                is_card(&number)
            })
        })
    }
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
