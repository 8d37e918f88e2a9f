//! Reads Rust source as far as the tidy rules need it: tokens without comments and strings, the paths a file names, and
//! which lines belong to tests. No parser: text that compiles is assumed.

use std::collections::HashMap;

/// One word or sign of the code, `::` being one sign.
pub struct Token {
    pub text: String,
    pub line: usize,
    pub in_test: bool,
}

/// A path the code names, made absolute: `crate::…` for this library, else it starts with a crate's name.
pub struct Named {
    pub path: Vec<String>,
    pub line: usize,
    pub in_test: bool,
    /// The import through which the code shortened this path.
    pub through: Option<Vec<String>>,
}

pub struct Source {
    pub tokens: Vec<Token>,
    pub lines: Vec<String>,
    module: Vec<String>,
}

impl Source {
    /// `file` is relative to the package, with forward slashes.
    pub fn read(file: &str, text: &str) -> Self {
        let mut tokens = tokens(&blank(text));
        mark_tests(&mut tokens, is_test_file(file));
        Self {
            tokens,
            lines: text.lines().map(str::to_owned).collect(),
            module: module_of(file),
        }
    }

    /// Every path in an import, and every path of two words or more anywhere else.
    pub fn names(&self) -> Vec<Named> {
        let imports = self.imports();
        let mut aliases: [HashMap<String, Vec<String>>; 2] = Default::default();
        for (path, alias, at) in &imports {
            for table in if self.tokens[*at].in_test {
                &mut aliases[1..]
            } else {
                &mut aliases[..]
            } {
                table.insert(alias.clone(), path.clone());
            }
        }
        let mut names: Vec<Named> = imports
            .into_iter()
            .map(|(path, _, at)| self.named(path, at, None))
            .collect();
        let scopes = self.scopes();
        let mut at = 0;
        while at < self.tokens.len() {
            if self.is_import(at) {
                at = self.end_of_statement(at);
            } else if is_word(&self.tokens[at].text) {
                let (path, next) = self.path_at(at);
                let after_dot = at > 0 && self.text(at - 1) == ".";
                if path.len() > 1 && !after_dot {
                    let through = aliases[usize::from(self.tokens[at].in_test)]
                        .get(&path[0])
                        .cloned();
                    let path = match &through {
                        Some(start) => start.iter().chain(&path[1..]).cloned().collect(),
                        None => absolute(path, &scopes[at]),
                    };
                    names.push(self.named(path, at, through));
                }
                at = next;
            } else {
                at += 1;
            }
        }
        names
    }

    /// The text of token `at`, or nothing behind the end.
    pub fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn named(&self, path: Vec<String>, at: usize, through: Option<Vec<String>>) -> Named {
        let Token { line, in_test, .. } = self.tokens[at];
        Named {
            path,
            line,
            in_test,
            through,
        }
    }

    /// (absolute path, the name it has here, token of `use`)
    fn imports(&self) -> Vec<(Vec<String>, String, usize)> {
        let scopes = self.scopes();
        let mut found = Vec::new();
        for at in (0..self.tokens.len()).filter(|&at| self.is_import(at)) {
            let mut leaves = Vec::new();
            self.tree(at + 1, &[], &mut leaves);
            for (path, alias) in leaves {
                found.push((absolute(path, &scopes[at]), alias, at));
            }
        }
        found
    }

    fn is_import(&self, at: usize) -> bool {
        // `impl Trait + use<'a>` is no import.
        self.text(at) == "use" && self.text(at + 1) != "<"
    }

    fn end_of_statement(&self, at: usize) -> usize {
        (at..self.tokens.len())
            .find(|&end| self.text(end) == ";")
            .unwrap_or(self.tokens.len())
    }

    /// Reads one branch of an import from `at` and returns the token behind it.
    fn tree(
        &self,
        mut at: usize,
        before: &[String],
        leaves: &mut Vec<(Vec<String>, String)>,
    ) -> usize {
        let mut path = before.to_vec();
        loop {
            match self.text(at) {
                "::" => at += 1,
                "{" => {
                    at += 1;
                    while !matches!(self.text(at), "}" | "") {
                        at = self.tree(at, &path, leaves);
                        if self.text(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "as" => {
                    leaves.push((path, self.text(at + 1).to_owned()));
                    return at + 2;
                }
                word if is_word(word) || word == "*" => {
                    if word != "self" || path.is_empty() {
                        path.push(word.to_owned());
                    }
                    at += 1;
                }
                _ => {
                    let alias = path.last().cloned().unwrap_or_default();
                    leaves.push((path, alias));
                    return at;
                }
            }
        }
    }

    fn path_at(&self, mut at: usize) -> (Vec<String>, usize) {
        let mut path = vec![self.text(at).to_owned()];
        while self.text(at + 1) == "::" && is_word(self.text(at + 2)) {
            path.push(self.text(at + 2).to_owned());
            at += 2;
        }
        (path, at + 1)
    }

    /// For each token, the module it stands in: that of the file, and the inline ones around it.
    fn scopes(&self) -> Vec<Vec<String>> {
        let mut scope = self.module.clone();
        let mut opened: Vec<bool> = Vec::new();
        let mut scopes = Vec::with_capacity(self.tokens.len());
        for at in 0..self.tokens.len() {
            match self.text(at) {
                "{" => {
                    let is_module = at >= 2 && self.text(at - 2) == "mod";
                    if is_module {
                        scope.push(self.text(at - 1).to_owned());
                    }
                    opened.push(is_module);
                }
                "}" if opened.pop() == Some(true) => {
                    scope.pop();
                }
                _ => {}
            }
            scopes.push(scope.clone());
        }
        scopes
    }
}

fn is_test_file(file: &str) -> bool {
    !file.starts_with("src/") || file.ends_with("/tests.rs") || file.contains("/tests/")
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn module_of(file: &str) -> Vec<String> {
    let Some(inside) = file
        .strip_prefix("src/")
        .and_then(|rest| rest.strip_suffix(".rs"))
    else {
        return Vec::new();
    };
    if inside == "lib" || inside == "main" || inside.starts_with("bin/") {
        return Vec::new();
    }
    inside
        .split('/')
        .filter(|part| *part != "mod")
        .map(str::to_owned)
        .collect()
}

fn absolute(path: Vec<String>, module: &[String]) -> Vec<String> {
    let mut base = vec!["crate".to_owned()];
    match path[0].as_str() {
        // The executables know this library by its name.
        "crate" | "ccp" => base.extend_from_slice(&path[1..]),
        "self" => base.extend(module.iter().chain(&path[1..]).cloned()),
        "super" => {
            let up = path.iter().take_while(|word| *word == "super").count();
            base.extend(
                module[..module.len().saturating_sub(up)]
                    .iter()
                    .chain(&path[up..])
                    .cloned(),
            );
        }
        _ => return path,
    }
    base
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(Token {
                text: rest[..length].to_owned(),
                line,
                in_test: false,
            });
        }
        line += usize::from(first == '\n');
        rest = &rest[length..];
    }
    tokens
}

/// Marks the item behind each `#[cfg(test)]`, to its closing brace or semicolon.
fn mark_tests(tokens: &mut [Token], whole_file: bool) {
    let text = |tokens: &[Token], at: usize| {
        tokens
            .get(at)
            .map_or(String::new(), |token| token.text.clone())
    };
    for at in 0..tokens.len() {
        let words: Vec<String> = (at..at + 5).map(|at| text(tokens, at)).collect();
        let is_test = words[..4] == ["#", "[", "cfg", "("]
            && (words[4] == "test" || words[4] == "all")
            && (at..tokens.len())
                .take_while(|&at| text(tokens, at) != "]")
                .any(|at| text(tokens, at) == "test");
        if !is_test {
            continue;
        }
        let mut depth = 0_usize;
        for token in &mut tokens[at..] {
            token.in_test = true;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" if depth <= 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    if whole_file {
        tokens.iter_mut().for_each(|token| token.in_test = true);
    }
}

/// The text with spaces in place of comments and of what stands in quotes; every line keeps its number.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word_before = out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = (!word_before).then(|| raw_string(rest)).flatten() {
            length
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        out.extend(
            rest[..length]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[length..];
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` or `cr"…"` at the start of the text.
fn raw_string(text: &str) -> Option<usize> {
    let start = ["r", "br", "cr"]
        .iter()
        .find_map(|mark| text.strip_prefix(mark).map(|_| mark.len()))?;
    let hashes = text[start..].chars().take_while(|c| *c == '#').count();
    let open = start + hashes;
    text[open..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(
        text[open + 1..]
            .find(&close)
            .map_or(text.len(), |at| open + 1 + at + close.len()),
    )
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(text: &str) -> bool {
    let mut characters = text.chars().skip(1);
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}
