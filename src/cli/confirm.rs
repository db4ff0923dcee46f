//! A question before what cannot be undone, or is felt at once.

use std::io::{IsTerminal, Write};

use super::Failure;

/// Asks before what cannot be undone, or is felt at once: on a terminal a question, elsewhere `--yes`.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let advice = "this is asked about first, and nobody can be asked here: say --yes";
        return Err(Failure::Usage(advice.to_owned()));
    }
    ask(question)
}

fn ask(question: &str) -> Result<(), Failure> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Refused("nothing was changed".to_owned())),
    }
}
