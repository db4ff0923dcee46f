//! Groups of digits, and what stands between them.

/// What stands between two groups, three characters at most.
const SEPARATORS: [char; 6] = [' ', '-', '.', '/', '_', ','];
const WIDEST: usize = 3;

/// A telephone number has so many digits at most (E.164 §6).
const TELEPHONE: usize = 15;

/// Digits in a row.
pub(super) struct Group {
    pub(super) digits: String,
    /// What joins it to the group before: a mark, or a space where there is none.
    pub(super) joint: Option<char>,
    /// A letter touches it.
    pub(super) is_of_word: bool,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }
}

/// The groups that stand together from a digit on, but for those that begin a telephone number or
/// a bank account's; with where they end.
pub(super) fn together(text: &[char], start: usize) -> (Vec<Group>, usize) {
    let (mut groups, mut at, mut joint) = (Vec::new(), start, None);
    let end = loop {
        let digits: String = digits(text, at).collect();
        let end = at + digits.len();
        groups.push(Group {
            digits,
            joint,
            is_of_word: false,
        });
        let Some((mark, next)) = joined(text, end) else {
            break end;
        };
        (joint, at) = (Some(mark), next);
    };
    if text.get(end).is_some_and(is_of_words)
        && let Some(last) = groups.last_mut()
    {
        last.is_of_word = true;
    }
    let before = text.get(..start).unwrap_or_default();
    let others = match before.last() {
        Some('+') => of_telephone(&groups),
        Some(c) if is_of_words(c) => of_account(before, &groups),
        _ => 0,
    };
    groups.drain(..others);
    if let Some(first) = groups.first_mut() {
        first.joint = None;
        first.is_of_word |= others == 0 && before.last().is_some_and(is_of_words);
    }
    (groups, end)
}

fn digits(text: &[char], at: usize) -> impl Iterator<Item = &char> {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take_while(|c| c.is_ascii_digit())
}

fn is_of_words(c: &char) -> bool {
    c.is_alphanumeric() || *c == '_'
}

/// What joins a group that ended to the next, and where that begins.
fn joined(text: &[char], end: usize) -> Option<(char, usize)> {
    let between = text.get(end..)?;
    let width = between
        .iter()
        .take(WIDEST)
        .take_while(|c| SEPARATORS.contains(c))
        .count();
    let next = end + width;
    if width == 0 || !text.get(next).is_some_and(char::is_ascii_digit) {
        return None;
    }
    let mut marks = between.iter().take(width).filter(|c| **c != ' ');
    match (marks.next(), marks.next()) {
        (None, _) => Some((' ', next)),
        // With a space beside it a dot ends a sentence, and a comma parts what a list has.
        (Some('.' | ','), None) if width > 1 => None,
        (Some(mark), None) => Some((*mark, next)),
        (Some(_), Some(_)) => None,
    }
}

/// How many groups are a telephone number's.
fn of_telephone(groups: &[Group]) -> usize {
    let mut digits = 0;
    let fits = |group: &&Group| {
        digits += group.len();
        digits <= TELEPHONE
    };
    groups.iter().take_while(fits).count()
}

/// How many groups are an account's: two letters, two digits, then groups of four (ISO 13616,
/// ISO 11649). 0: it is another word.
fn of_account(before: &[char], groups: &[Group]) -> usize {
    let mut backwards = before.iter().rev();
    let letters = backwards
        .by_ref()
        .take(2)
        .filter(|c| c.is_ascii_alphabetic());
    let has_two = letters.count() == 2 && !backwards.next().is_some_and(is_of_words);
    let Some((first, rest)) = groups.split_first() else {
        return 0;
    };
    if !has_two || first.len() != 2 {
        return 0;
    }
    let fours = rest.iter().take_while(|group| group.len() == 4).count();
    let ends = fours > 0 && rest.get(fours).is_some_and(|group| group.len() < 4);
    1 + fours + usize::from(ends)
}
