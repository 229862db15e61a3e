//! The architecture: which imports are allowed.
//!
//! The folders of `src/` are floors. A file imports from floors below its own and from its own floor; inside every
//! folder, neither files nor sub-folders form circles. A `mod.rs` counts as a file: it depends on what it
//! re-exports, so files inside a folder import from each other and not through their own `mod.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The floors, lowest first. Floors of one row do not use each other.
const FLOORS: &[&[&str]] = &[
    &["error"],
    &["formats", "engine"],
    &["config"],
    &["data"],
    &["parts"],
    &["method"],
    &["run"],
    &["lib"],
    &["cli", "main"],
];

/// A module's path from the crate's root, `["engine", "graph"]`.
type Module = Vec<String>;

/// One import: who, whom, and where it is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: Module,
    to: Module,
    line: String,
}

/// The modules of a source folder and what each imports.
struct Sources {
    root: PathBuf,
    files: BTreeMap<Module, PathBuf>,
}

impl Sources {
    fn read(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let inner = path.strip_prefix(root).unwrap().with_extension("");
                    let mut module: Module = inner.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
                    if module.last().is_some_and(|name| name == "mod") {
                        module.pop();
                    }
                    files.insert(module, path);
                }
            }
        }
        Sources { root: root.to_owned(), files }
    }

    /// The module that a path from the root reaches into: the longest prefix that is a file, the root for names of
    /// `lib.rs`.
    fn file_of(&self, path: &[String]) -> Module {
        let found = (1..=path.len()).rev().map(|len| &path[..len]).find(|prefix| self.files.contains_key(*prefix));
        found.map_or_else(|| vec!["lib".to_owned()], <[String]>::to_vec)
    }

    fn imports(&self) -> Vec<Import> {
        let mut imports = BTreeSet::new();
        for (module, path) in &self.files {
            let text = fs::read_to_string(path).unwrap();
            let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut file = File { sources: self, module, aliases: HashMap::new(), found: Vec::new() };
            // Uses first: the names that they bring may stand before them.
            file.walk(tokens.clone(), module, Pass::Uses);
            file.walk(tokens, module, Pass::Paths);
            let shown = path.strip_prefix(&self.root).unwrap().display().to_string();
            for (to, line) in file.found {
                if to != *module {
                    let written = text.lines().nth(line - 1).unwrap_or_default().trim();
                    imports.insert(Import { from: module.clone(), to, line: format!("src/{shown}:{line}: {written}") });
                }
            }
        }
        imports.into_iter().collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Pass {
    Uses,
    Paths,
}

/// A file as it is read.
struct File<'a> {
    sources: &'a Sources,
    module: &'a Module,
    /// Modules that a `use` brought, by the name that they have here.
    aliases: HashMap<String, Module>,
    found: Vec<(Module, usize)>,
}

impl File<'_> {
    /// Reads the tokens of `scope`, which is the file's module or one written inside it.
    fn walk(&mut self, tokens: TokenStream, scope: &Module, pass: Pass) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(word) if *word == "use" => {
                    let end = (at..tokens.len()).find(|&end| is(&tokens[end], ';')).unwrap_or(tokens.len());
                    if pass == Pass::Uses {
                        self.tree(&tokens[at + 1..end], &[], scope);
                    }
                    at = end;
                }
                TokenTree::Ident(word) if *word == "mod" => {
                    // A module written in place; `super` counts from there.
                    if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                        (tokens.get(at + 1), tokens.get(at + 2))
                    {
                        let inner = [scope.as_slice(), &[name.to_string()]].concat();
                        self.walk(body.stream(), &inner, pass);
                        at += 2;
                    }
                }
                TokenTree::Ident(_) if pass == Pass::Paths => {
                    let continues = at >= 2 && is(&tokens[at - 1], ':') && is(&tokens[at - 2], ':');
                    // `$crate` names the crate that uses a macro.
                    let of_macro = at >= 1 && is(&tokens[at - 1], '$');
                    let line = tokens[at].span().start().line;
                    let (path, end) = path(&tokens, at);
                    if !continues && !of_macro && path.len() > 1 {
                        self.note(&path, scope, line);
                    }
                    at = end - 1;
                }
                TokenTree::Group(group) => self.walk(group.stream(), scope, pass),
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads a tree of a `use` behind `prefix`.
    fn tree(&mut self, tokens: &[TokenTree], prefix: &[String], scope: &Module) {
        for branch in tokens.split(|token| is(token, ',')).filter(|branch| !branch.is_empty()) {
            let start = branch.iter().position(|token| matches!(token, TokenTree::Ident(_) | TokenTree::Group(_)));
            let Some(start) = start else { continue };
            let (mut names, end) = path(branch, start);
            names.splice(0..0, prefix.iter().cloned());
            if let Some(TokenTree::Group(group)) = branch.get(end)
                && group.delimiter() == Delimiter::Brace
            {
                let inner: Vec<_> = group.stream().into_iter().collect();
                self.tree(&inner, &names, scope);
                continue;
            }
            let line = branch[start].span().start().line;
            if names.last().is_some_and(|last| last == "self") {
                names.pop();
            }
            let renamed = match (branch.get(end), branch.get(end + 1)) {
                (Some(TokenTree::Ident(word)), Some(TokenTree::Ident(name))) if *word == "as" => Some(name.to_string()),
                _ => None,
            };
            if let Some(path) = self.note(&names, scope, line)
                && self.sources.files.contains_key(&path)
            {
                let name = renamed.or_else(|| names.last().cloned()).unwrap_or_default();
                self.aliases.insert(name, path);
            }
        }
    }

    /// Keeps what a path depends on, and gives the path from the crate's root if it leads into this crate.
    fn note(&mut self, names: &[String], scope: &Module, line: usize) -> Option<Module> {
        let (first, rest) = names.split_first()?;
        let absolute = match first.as_str() {
            "crate" | "tagseg" => rest.to_vec(),
            "self" => [scope.as_slice(), rest].concat(),
            "super" => {
                let up = names.iter().take_while(|name| *name == "super").count();
                let base = scope.get(..scope.len().checked_sub(up)?)?;
                [base, &names[up..]].concat()
            }
            name => {
                let child = [self.module.as_slice(), std::slice::from_ref(first)].concat();
                match self.aliases.get(name) {
                    Some(module) => [module.as_slice(), rest].concat(),
                    None if self.sources.files.contains_key(&child) => [self.module.as_slice(), names].concat(),
                    None => return None,
                }
            }
        };
        self.found.push((self.sources.file_of(&absolute), line));
        Some(absolute)
    }
}

fn is(token: &TokenTree, letter: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == letter)
}

/// The names that `::` joins from `at` on, and where they end (behind a last `::`, if a group follows it).
fn path(tokens: &[TokenTree], mut at: usize) -> (Vec<String>, usize) {
    let mut names = Vec::new();
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        names.push(name.to_string());
        at += 1;
        let joined = tokens.get(at).is_some_and(|token| is(token, ':'))
            && tokens.get(at + 1).is_some_and(|token| is(token, ':'));
        if !joined {
            break;
        }
        at += 2;
    }
    (names, at)
}

fn floor(module: &[String]) -> usize {
    let top = &module[0];
    let found = FLOORS.iter().position(|floor| floor.contains(&top.as_str()));
    found.unwrap_or_else(|| panic!("src/{top} is on no floor: add it to FLOORS in tests/architecture.rs"))
}

/// A circle among the nodes of `edges`, as the lines that close it.
fn circle(edges: &BTreeMap<Module, BTreeMap<Module, String>>) -> Option<Vec<String>> {
    fn visit(
        node: &Module,
        edges: &BTreeMap<Module, BTreeMap<Module, String>>,
        done: &mut BTreeSet<Module>,
        way: &mut Vec<(Module, String)>,
    ) -> Option<Vec<String>> {
        for (next, line) in edges.get(node).into_iter().flatten() {
            if let Some(start) = way.iter().position(|(known, _)| known == next) {
                let lines = way[start + 1..].iter().map(|(_, line)| line.clone()).chain([line.clone()]);
                return Some(lines.collect());
            }
            if done.insert(next.clone()) {
                way.push((next.clone(), line.clone()));
                let found = visit(next, edges, done, way);
                if found.is_some() {
                    return found;
                }
                way.pop();
            }
        }
        None
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| {
        done.insert(start.clone());
        visit(start, edges, &mut done, &mut vec![(start.clone(), String::new())])
    })
}

fn edges(imports: impl Iterator<Item = (Module, Module, String)>) -> BTreeMap<Module, BTreeMap<Module, String>> {
    let mut edges: BTreeMap<Module, BTreeMap<Module, String>> = BTreeMap::new();
    for (from, to, line) in imports.filter(|(from, to, _)| from != to) {
        edges.entry(from).or_default().entry(to).or_insert(line);
    }
    edges
}

/// Every line that breaks a rule, by what it breaks.
fn faults(sources: &Sources) -> Vec<String> {
    let imports = sources.imports();
    let mut faults = Vec::new();
    for Import { from, to, line } in &imports {
        let (own, other) = (floor(from), floor(to));
        if other > own || (other == own && from[0] != to[0]) {
            faults.push(format!("{line}\n    {} may not use {}", from[0], to[0]));
        }
    }
    let files = imports.iter().map(|import| (import.from.clone(), import.to.clone(), import.line.clone()));
    if let Some(lines) = circle(&edges(files)) {
        faults.push(format!("these files form a circle:\n    {}", lines.join("\n    ")));
    }
    // The same for the members of every folder, its sub-folders taken as one.
    let folders: BTreeSet<Module> =
        sources.files.keys().flat_map(|module| (1..module.len()).map(|len| module[..len].to_vec())).collect();
    for folder in folders {
        let depth = folder.len();
        let inside = |module: &Module| module.len() > depth && module.starts_with(&folder);
        let members = imports
            .iter()
            .filter(|import| inside(&import.from) && inside(&import.to))
            .map(|import| (import.from[..=depth].to_vec(), import.to[..=depth].to_vec(), import.line.clone()));
        if let Some(lines) = circle(&edges(members)) {
            let folder = folder.join("/");
            faults.push(format!("members of src/{folder} form a circle:\n    {}", lines.join("\n    ")));
        }
    }
    faults
}

/// Protects: the floors, and the absence of circles.
#[test]
fn imports_go_down() {
    let faults = faults(&Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    assert!(faults.is_empty(), "{} faults\n\n{}", faults.len(), faults.join("\n\n"));
}

/// Protects: the test above finds imports of higher floors, circles of files and circles of folders, however they are
/// written, and names the line.
#[test]
fn wrong_imports_are_found() {
    let wrong = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        faults(&Sources::read(folder.path())).join("\n")
    };
    assert_eq!(wrong(&[("engine/a.rs", "use crate::error::Error;"), ("error.rs", "")]), "");
    let up =
        wrong(&[("engine/a.rs", "\nuse crate::{error::Error, data::{b, c::D}};"), ("data/b.rs", ""), ("error.rs", "")]);
    assert!(up.contains("src/engine/a.rs:2: use crate") && up.contains("engine may not use data"), "{up}");
    let beside = wrong(&[("engine/a.rs", "fn f() { crate::formats::b::g() }"), ("formats/b.rs", "")]);
    assert!(beside.contains("engine may not use formats"), "{beside}");
    let circle = wrong(&[("data/a.rs", "use super::b::B;"), ("data/b.rs", "mod t { use super::super::a::A; }")]);
    assert!(circle.contains("files form a circle") && circle.contains("src/data/b.rs:1:"), "{circle}");
    let facade =
        wrong(&[("data/mod.rs", "mod a; mod b; pub use a::A;"), ("data/a.rs", "use super::B;"), ("data/b.rs", "")]);
    assert!(facade.contains("files form a circle"), "{facade}");
    let folders = wrong(&[
        ("run/x/a.rs", "use crate::run::y::c::C;"),
        ("run/x/b.rs", ""),
        ("run/x/mod.rs", "mod a; mod b;"),
        ("run/y/c.rs", ""),
        ("run/y/d.rs", "use crate::run::x; fn f() { x::b::g() }"),
    ]);
    assert!(folders.contains("members of src/run form a circle"), "{folders}");
    assert_eq!(
        wrong(&[("data/a.rs", "// use crate::run::b;\nconst TEXT: &str = \"crate::run::b\";"), ("run/b.rs", "")]),
        ""
    );
}
