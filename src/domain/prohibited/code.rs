//! One-time codes: four to eight digits next to words that tell what they are.

/// Words that tell, in lower case; a space also stands for a hyphen or an underscore. Where a word has several
/// meanings, only the telling form stands here.
const TELLING: &[&str] = &[
    "otp",
    "totp",
    "2fa",
    "mfa code",
    "passcode",
    "one time code",
    "one time password",
    "one time passcode",
    "one time pin",
    "onetime code",
    "onetime password",
    "verification code",
    "authentication code",
    "login code",
    "log in code",
    "sign in code",
    "security code",
    "sms code",
    "einmalcode",
    "einmalpasswort",
    "einmalkennwort",
    "bestätigungscode",
    "sicherheitscode",
    "verifizierungscode",
    "sms tan",
    "mtan",
    "code à usage unique",
    "code de vérification",
    "code de sécurité",
    "código de verificación",
    "código de un solo uso",
    "codice di verifica",
    "código de verificação",
    "verificatiecode",
    "kod weryfikacyjny",
    "код подтверждения",
    "验证码",
    "驗證碼",
    "認証コード",
    "인증번호",
];

/// So many characters may stand between the word and the code.
const REACH: usize = 24;

/// Whether plain text holds such a code.
pub(super) fn is_in(text: &str) -> bool {
    let text = in_words(text);
    let codes = codes(text.as_bytes());
    if codes.is_empty() {
        return false;
    }
    let text = text.replace(['-', '_'], " ");
    TELLING
        .iter()
        .any(|word| places(&text, word).any(|(start, end)| is_near(&text, &codes, start, end)))
}

/// In lower case, with a space where a capital begins a word within another: `otpCode` is `otp code`.
fn in_words(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut is_after_small = false;
    for c in text.chars() {
        if is_after_small && c.is_uppercase() {
            words.push(' ');
        }
        is_after_small = c.is_lowercase();
        words.extend(c.to_lowercase());
    }
    words
}

/// Where a word stands as one: no letter or digit of the same script touches it. Words that are
/// not written with spaces stand anywhere.
fn places<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    let is_spaced = word.chars().all(|c| u32::from(c) < 0x2e80);
    let touches = move |c: Option<char>| is_spaced && c.is_some_and(char::is_alphanumeric);
    text.match_indices(word)
        .map(|(start, word)| (start, start + word.len()))
        .filter(move |(start, end)| {
            let before = text
                .get(..*start)
                .and_then(|before| before.chars().next_back());
            let after = text.get(*end..).and_then(|after| after.chars().next());
            !touches(before) && !touches(after)
        })
}

/// Whether a code stands near a word. Codes are in order: the next on either side decides.
fn is_near(text: &str, codes: &[(usize, usize)], start: usize, end: usize) -> bool {
    let is_within_reach = |from: usize, to: usize| {
        let between = text.get(from..to);
        between.is_some_and(|between| between.chars().nth(REACH).is_none())
    };
    let next = codes.partition_point(|(from, _)| *from < end);
    let last = next.checked_sub(1).and_then(|i| codes.get(i));
    codes
        .get(next)
        .is_some_and(|(from, _)| is_within_reach(end, *from))
        || last.is_some_and(|(_, to)| is_within_reach(*to, start))
}

/// Groups of four to eight digits, perhaps with a space or hyphen in the middle, that stand alone:
/// not in a date, say.
fn codes(text: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
            continue;
        }
        let start = at;
        let mut digits = 0;
        while let Some(c) = text.get(at) {
            let is_joint = matches!(c, b' ' | b'-')
                && (3..=4).contains(&digits)
                && text.get(at + 1).is_some_and(u8::is_ascii_digit);
            match c {
                b'0'..=b'9' => digits += 1,
                _ if is_joint => {}
                _ => break,
            }
            at += 1;
        }
        let mut before = text.get(..start).unwrap_or_default().iter().rev();
        let mut after = text.get(at..).unwrap_or_default().iter();
        let is_part = goes_on(before.next(), before.next()) || goes_on(after.next(), after.next());
        if (4..=8).contains(&digits) && !is_part {
            found.push((start, at));
        }
    }
    found
}

/// Whether digits go on over the next two characters: in a word, or in a date, an amount or a time.
fn goes_on(next: Option<&u8>, second: Option<&u8>) -> bool {
    let is_word = next.is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_');
    let is_joint = matches!(next, Some(b'-' | b'.' | b'/' | b':'));
    is_word || (is_joint && second.is_some_and(u8::is_ascii_digit))
}
