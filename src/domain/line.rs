//! Texts that stand among others, in lists and logs.

/// Whether a character would not stay on its line, or have others read out of their order.
pub fn breaks_a_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
