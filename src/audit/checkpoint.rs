//! Checkpoints: heads of the tree, signed so that others can keep them (C2SP tlog-checkpoint and
//! signed-note).

use signed_note::{Note, Signature, StandardVerifier, Verifier as _, VerifierList};
use tlog_tiles::{Checkpoint, Hash};

use crate::keys::AuditKeys;

/// A head of the tree with its signature, verified or freshly made.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedHead {
    /// How many leaves it is over.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
    /// The signed note, as text.
    pub note: String,
}

/// What is wrong with a checkpoint, or with the key that should verify it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("it is not a checkpoint in the form of a signed note")]
    Malformed,
    #[error("its signature is not this log's")]
    Signature,
    #[error("it is of the log {0}, and not of this one")]
    Origin(String),
    #[error("the key is not of the form name+id+key, or is not an Ed25519 key")]
    Key,
}

/// Signs a head of the tree.
pub fn sign(keys: &AuditKeys, size: u64, root: Hash) -> Result<SignedHead, CheckpointError> {
    let malformed = |_| CheckpointError::Malformed;
    let text = Checkpoint::new(keys.name(), size, root, "")
        .map_err(|_| CheckpointError::Malformed)?
        .to_bytes();
    let signature = Signature::new(keys.name().to_owned(), keys.id(), keys.sign(&text));
    let note = Note::new(&text, &[signature.map_err(malformed)?]).map_err(malformed)?;
    let note = String::from_utf8(note.to_bytes()).map_err(|_| CheckpointError::Malformed)?;
    Ok(SignedHead { size, root, note })
}

/// What verifies the checkpoints of one log.
pub struct HeadVerifier {
    name: String,
    key: VerifierList,
}

impl HeadVerifier {
    /// By a key in the form `name+id+key`.
    pub fn new(key: &str) -> Result<Self, CheckpointError> {
        let verifier = StandardVerifier::new(key.trim()).map_err(|_| CheckpointError::Key)?;
        Ok(Self {
            name: verifier.name().to_owned(),
            key: VerifierList::new(vec![Box::new(verifier)]),
        })
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a checkpoint that this log has signed.
    pub fn verify(&self, note: &str) -> Result<SignedHead, CheckpointError> {
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let head = Checkpoint::from_bytes(parsed.text()).map_err(|_| CheckpointError::Malformed)?;
        if head.origin() != self.name {
            return Err(CheckpointError::Origin(head.origin().to_owned()));
        }
        parsed
            .verify(&self.key)
            .map_err(|_| CheckpointError::Signature)?;
        Ok(SignedHead {
            size: head.size(),
            root: *head.hash(),
            note: note.to_owned(),
        })
    }
}

impl std::fmt::Debug for HeadVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HeadVerifier({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::master::tests::master;

    fn signed(fill: u8) -> (SignedHead, HeadVerifier) {
        let master = master(fill);
        let keys = master.audit();
        let head = sign(keys, 7, tlog_tiles::record_hash(b"x")).unwrap();
        (head, HeadVerifier::new(keys.verifier()).unwrap())
    }

    #[test]
    fn a_signed_head_is_a_note_of_four_parts_that_its_key_verifies() {
        let (head, verifier) = signed(1);
        let lines: Vec<_> = head.note.lines().collect();
        assert_eq!(lines[0], verifier.name());
        assert_eq!(&lines[1..4], ["7", &head.root.to_string(), ""]);
        assert!(lines[4].starts_with(&format!("\u{2014} {} ", verifier.name())));
        assert_eq!(verifier.verify(&head.note), Ok(head));
    }

    #[test]
    fn a_changed_head_and_another_logs_head_are_refused() {
        let (head, verifier) = signed(1);
        let larger = head.note.replacen("\n7\n", "\n8\n", 1);
        assert_eq!(verifier.verify(&larger), Err(CheckpointError::Signature));
        let (theirs, _) = signed(2);
        let refused = verifier.verify(&theirs.note);
        assert!(matches!(refused, Err(CheckpointError::Origin(_))));
        // Another's signature under this log's name.
        let forged = theirs
            .note
            .replace(theirs.note.lines().next().unwrap(), verifier.name());
        assert_eq!(verifier.verify(&forged), Err(CheckpointError::Signature));
        for garbled in ["", "\n\n", "a\n1\n", &head.note[..head.note.len() - 9]] {
            assert!(verifier.verify(garbled).is_err());
        }
    }
}
