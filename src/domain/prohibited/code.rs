//! One-time codes: four to eight digits next to words that tell what they are.

/// Words that tell. In lower case; where a word has several meanings, only the telling form stands here.
const TELLING: &[&str] = &[
    "otp",
    "totp",
    "2fa",
    "mfa code",
    "passcode",
    "one-time code",
    "one time code",
    "one-time password",
    "one time password",
    "one-time passcode",
    "one-time pin",
    "one time pin",
    "verification code",
    "authentication code",
    "login code",
    "log-in code",
    "sign-in code",
    "security code",
    "sms code",
    "einmalcode",
    "einmalpasswort",
    "einmalkennwort",
    "bestätigungscode",
    "sicherheitscode",
    "verifizierungscode",
    "sms-tan",
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

/// Whether text holds such a code.
pub(super) fn is_in(text: &str) -> bool {
    let lower: Vec<char> = text.to_lowercase().chars().collect();
    let codes = codes(&lower);
    if codes.is_empty() {
        return false;
    }
    TELLING.iter().any(|word| {
        let word: Vec<char> = word.chars().collect();
        places(&lower, &word).any(|(start, end)| {
            codes.iter().any(|(from, to)| {
                let after = *from >= end && from - end <= REACH;
                let before = *to <= start && start - to <= REACH;
                after || before
            })
        })
    })
}

/// Where a word stands as one: no letter or digit of the same script touches it. Words that are
/// not written with spaces stand anywhere.
fn places<'a>(text: &'a [char], word: &'a [char]) -> impl Iterator<Item = (usize, usize)> + 'a {
    let is_spaced = word.iter().all(|c| (*c as u32) < 0x2e80);
    let touches = move |c: Option<&char>| is_spaced && c.is_some_and(|c| c.is_alphanumeric());
    text.windows(word.len())
        .enumerate()
        .filter(move |(_, window)| *window == word)
        .map(move |(start, _)| (start, start + word.len()))
        .filter(move |(start, end)| {
            let before = start.checked_sub(1).and_then(|i| text.get(i));
            !touches(before) && !touches(text.get(*end))
        })
}

/// Groups of four to eight digits, perhaps with a space or hyphen in the middle, that stand alone.
fn codes(text: &[char]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if !text.get(at).is_some_and(char::is_ascii_digit) {
            at += 1;
            continue;
        }
        let start = at;
        let mut digits = 0;
        while let Some(c) = text.get(at) {
            let is_joint = matches!(c, ' ' | '-')
                && (3..=4).contains(&digits)
                && text.get(at + 1).is_some_and(char::is_ascii_digit);
            match c {
                c if c.is_ascii_digit() => digits += 1,
                _ if is_joint => {}
                _ => break,
            }
            at += 1;
        }
        let is_part = |c: Option<&char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
        let before = start.checked_sub(1).and_then(|i| text.get(i));
        if (4..=8).contains(&digits) && !is_part(before) && !is_part(text.get(at)) {
            found.push((start, at));
        }
    }
    found
}
