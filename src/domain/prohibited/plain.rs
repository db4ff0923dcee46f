//! Text as numbers are looked for in it: digits of every script as 0 to 9, dashes as hyphens,
//! white space as spaces, and without what cannot be seen.

/// The zeros that NFKC leaves as they are; nine digits follow each (Unicode 17, category Nd).
const ZEROS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0x104a0,
    0x10d30, 0x10d40, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x116d0, 0x116da, 0x11730, 0x118e0, 0x11950, 0x11bf0, 0x11c50, 0x11d50, 0x11da0,
    0x11de0, 0x11f50, 0x16130, 0x16a60, 0x16ac0, 0x16b50, 0x16d70, 0x1e140, 0x1e2f0, 0x1e4f0,
    0x1e5f1, 0x1e950,
];

/// Such a text of one in NFKC.
pub(super) fn of(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut last, mut is_apart) = (' ', false);
    for c in text.chars() {
        if is_invisible(c) {
            is_apart = true;
            continue;
        }
        let c = simple(c);
        // Between digits it is nothing, and between a word and a number it parts them.
        if is_apart && is_seam(last, c) {
            plain.push(' ');
        }
        plain.push(c);
        (last, is_apart) = (c, false);
    }
    plain
}

fn simple(c: char) -> char {
    match c {
        '!'..='~' => c,
        _ if c.is_whitespace() => ' ',
        _ if is_dash(c) => '-',
        _ => digit(c).unwrap_or(c),
    }
}

fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let below = ZEROS.partition_point(|zero| *zero <= code);
    let zero = ZEROS.get(below.checked_sub(1)?)?;
    char::from_digit(code - zero, 10)
}

/// Dashes (category Pd), and the minus sign.
fn is_dash(c: char) -> bool {
    matches!(
        c,
        '\u{58a}' | '\u{5be}' | '\u{1400}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2212}'
                | '\u{2e17}'
                | '\u{2e1a}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{2e40}'
                | '\u{2e5d}'
                | '\u{301c}'
                | '\u{3030}'
                | '\u{30a0}'
                | '\u{10d6e}'
                | '\u{10ead}'
    )
}

/// Characters of no width: formats (category Cf), joiners and variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_seam(one: char, other: char) -> bool {
    let between = |word: char, digit: char| word.is_alphabetic() && digit.is_ascii_digit();
    between(one, other) || between(other, one)
}
