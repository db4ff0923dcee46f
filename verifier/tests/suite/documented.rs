//! The documentation shows each public item at work.

use std::path::Path;

/// Public items without an example, as `file: item`.
fn without_an_example(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            without_an_example(&path, found);
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let mut has_example = false;
        for line in code.lines().map(str::trim) {
            let is_item = ["fn", "async fn", "struct", "enum", "type", "trait", "const"]
                .iter()
                .any(|kind| line.starts_with(&format!("pub {kind} ")));
            if line.starts_with("///") {
                has_example |= line.contains("```");
            } else if is_item && !has_example {
                found.push(format!("{}: {line}", path.display()));
            }
            // Attributes stand between the documentation and its item.
            has_example &= line.starts_with("///") || line.starts_with('#');
        }
    }
}

#[test]
fn every_public_item_has_an_example() {
    let mut found = Vec::new();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    without_an_example(&sources, &mut found);
    assert!(found.is_empty(), "{found:#?}");
}
