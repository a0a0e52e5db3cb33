//! The house rules that can be read off the source: walls between rooms, a head on every file, words
//! that have one meaning, and a map that names what exists.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of ours, with its text.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["domain", "store", "server", "testbed"].iter().map(|room| root().join(room)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_file_says_what_it_is_for() {
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name} does not open with //!");
        assert!(
            !text.contains("TODO") || name.ends_with("tidy.rs"),
            "{name} has an unfinished note"
        );
    }
}

/// What a file may not use, by where it stands.
const WALLS: &[(&str, &[&str])] = &[
    (
        "domain/src/",
        &[
            "tokio",
            "hyper",
            "http::",
            "rusqlite",
            "serde_json::",
            "tracing",
            "std::fs",
            "std::net",
            "std::env",
        ],
    ),
    ("store/src/", &["hyper", "http::", "server::", "wire::"]),
    ("server/src/", &["rusqlite"]),
    (
        "server/src/wire",
        &[
            "tokio",
            "hyper",
            "store::",
            "crate::gate",
            "crate::upstream",
            "crate::surface",
            "crate::config",
        ],
    ),
    ("server/src/surface/", &["crate::upstream", "crate::exchange", "domain::ledger"]),
    ("server/src/admin", &["crate::upstream", "crate::exchange", "crate::surface"]),
    ("server/src/gate.rs", &["crate::admin", "crate::surface"]),
    ("server/src/exchange.rs", &["crate::admin", "crate::surface"]),
    ("server/src/meter.rs", &["crate::admin", "crate::surface"]),
    ("server/src/reservation.rs", &["crate::admin", "crate::surface"]),
    ("server/src/upstream", &["crate::admin", "crate::surface", "store::"]),
    ("server/tests/it/", &["store::Store", "server::gate", "server::admin", "server::wire"]),
];

#[test]
fn the_walls_between_rooms_stand() {
    for (name, text) in sources() {
        // Tests of a module in a file of their own are no part of the code either.
        if name.ends_with("tidy.rs") || (name.contains("/src/") && name.ends_with("tests.rs")) {
            continue;
        }
        // What stands below the tests' mark is there to try the code, not part of it.
        let code = if name.contains("/tests") {
            text.as_str()
        } else {
            text.split("#[cfg(test)]").next().unwrap()
        };
        for (place, banned) in WALLS.iter().filter(|(place, _)| name.starts_with(place)) {
            let uses = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in uses {
                for word in *banned {
                    let imported = line.contains(&format!("use {word}"))
                        || line.contains(&format!(" {word}"))
                        || line.contains(&format!("({word}"));
                    assert!(!imported, "{name} is in {place} and may not use {word}: {line}");
                }
            }
        }
    }
}

#[test]
fn names_that_say_nothing_are_not_used() {
    for (name, text) in sources() {
        let stem = Path::new(&name).file_stem().unwrap().to_str().unwrap().to_owned();
        for word in ["common", "util", "utils", "helper", "helpers", "misc", "types", "manager"] {
            assert_ne!(stem, word, "{name}");
        }
        for line in text.lines().filter(|line| {
            line.contains("struct ") || line.contains("trait ") || line.contains("enum ")
        }) {
            for word in ["Manager", "Helper", "Util", "Service ", "Handler "] {
                assert!(
                    !line.contains(&format!("{word} {{")) && !line.contains(&format!("{word};")),
                    "{name}: {line}"
                );
            }
        }
    }
}

#[test]
fn every_file_of_this_folder_is_listed() {
    let listed = std::fs::read_to_string(root().join("server/tests/it/main.rs")).unwrap();
    for (name, _) in sources()
        .iter()
        .filter(|(name, _)| name.starts_with("server/tests/it/") && !name.ends_with("main.rs"))
    {
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        assert!(
            listed.contains(&format!("mod {stem};")),
            "{name} is not in main.rs, so it never runs"
        );
    }
}

#[test]
fn every_code_of_the_table_is_documented_and_used() {
    let page = std::fs::read_to_string(root().join("docs/api.md")).unwrap();
    let sources = sources();
    for code in domain::Code::ALL {
        assert!(page.contains(&format!("`{}`", code.name())), "docs/api.md: {}", code.name());
        let variant = format!("Code::{code:?}");
        let used = |(name, text): &&(String, String)| {
            name.contains("/src/") && !name.ends_with("refusal.rs") && text.contains(&variant)
        };
        assert!(sources.iter().any(|source| used(&source)), "{variant} is used nowhere");
    }
}

#[test]
fn the_map_names_every_room_and_nothing_that_is_gone() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for room in ["domain", "store", "server"] {
        let head = std::fs::read_to_string(root().join(room).join("src/lib.rs")).unwrap();
        for line in head.lines() {
            let module = line
                .trim_start_matches("pub ")
                .strip_prefix("mod ")
                .and_then(|rest| rest.strip_suffix(';'));
            if let Some(module) = module {
                assert!(
                    map.contains(&format!("`{module}`")) || map.contains(&format!("{module}.rs")),
                    "ARCHITECTURE.md does not name {room}'s {module}"
                );
            }
        }
    }
    for path in map.split('`').filter(|text| {
        text.contains('/')
            && !text.contains(' ')
            && !text.contains('*')
            && !text.starts_with('/')
            && !text.starts_with("http")
    }) {
        assert!(root().join(path).exists(), "ARCHITECTURE.md names {path}, which does not exist");
    }
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = ["README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md"];
    for page in pages.iter().map(|page| root().join(page)).chain(docs) {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            let inside = !link.starts_with("http") && !file.is_empty();
            assert!(
                !inside || page.parent().unwrap().join(file).exists(),
                "{} links to {link}",
                page.display()
            );
        }
    }
}

/// The names of tests in a page: what stands in backquotes and has an underscore.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(move |name| name.contains('_') && name.bytes().all(is_name))
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/promises.md")).unwrap();
    let all: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut count = 0;
    for name in named(&page) {
        let exists = all.contains(&format!("fn {name}(")) || name == "float_arithmetic";
        assert!(exists, "docs/promises.md names {name}, which is no test");
        count += 1;
    }
    assert!(count > 30, "the page's names were not found");
}

/// The lines of the documents that a test's name says it shows: `m2_and_r2_…`, `r12_to_r16_…`.
fn lines_of(test: &str) -> Vec<(char, u32)> {
    let line = |word: &str| {
        let letter = word.chars().next().filter(|letter| "mrla".contains(*letter))?;
        Some((letter.to_ascii_uppercase(), word[1..].parse().ok()?))
    };
    let words: Vec<&str> = test.split('_').collect();
    let mut lines: Vec<(char, u32)> = words.iter().filter_map(|word| line(word)).collect();
    for between in words.windows(3).filter(|three| three[1] == "to") {
        if let (Some((letter, first)), Some((_, last))) = (line(between[0]), line(between[2])) {
            lines.extend((first..last).map(|number| (letter, number)));
        }
    }
    lines
}

#[test]
fn every_line_of_the_documents_has_a_test_that_is_named_after_it() {
    let page = std::fs::read_to_string(root().join("docs/documents.md")).unwrap();
    let all: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut rows = page.lines().filter(|row| {
        row.starts_with("| ") && row[2..].starts_with(|first: char| "MRLA".contains(first))
    });
    for (letter, count) in [('M', 58), ('R', 26), ('L', 37), ('A', 29)] {
        for number in 1..=count {
            let row = rows.next().unwrap_or_default();
            let begins = format!("| {letter}{number} | ");
            assert!(row.starts_with(&begins), "docs/documents.md: no {begins}at: {row}");
            let shown_by = row.rsplit(" | ").next().unwrap();
            for name in named(shown_by) {
                let exists = all.contains(&format!("#[test]\nfn {name}("));
                assert!(exists, "docs/documents.md names {name}, which is no test");
            }
            let shown = named(shown_by).any(|name| lines_of(name).contains(&(letter, number)));
            assert!(shown || shown_by.starts_with("not yet"), "no test is named after: {row}");
        }
    }
    assert_eq!(rows.next(), None, "docs/documents.md has a line more than the documents");
    for test in all.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next()) {
        if test.starts_with(|first: char| "mrla".contains(first)) && !lines_of(test).is_empty() {
            assert!(page.contains(&format!("`{test}`")), "docs/documents.md does not name {test}");
        }
    }
}
