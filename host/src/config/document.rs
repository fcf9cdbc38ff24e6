//! The file as a tree that knows where everything stands, and [`Section`]: a table of it, read key by key. A fault is noted and reading goes
//! on, so that one never hides another. Which keys exist, and their defaults, is [`KEYS`]'s business; what values mean is `read.rs`'s.

use super::keys::{self, KEYS, KeyDoc};
use super::problem::{At, Place, Problem};
use super::values;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One file while it is read: its text and what was found wrong so far.
pub(super) struct Document<'d> {
    text: &'d str,
    /// Lines with a syntax error, and those that an unclosed bracket swallowed: nothing else is reported there. With any, nothing is reported as missing: it may stand where the error is.
    broken: BTreeSet<usize>,
    problems: RefCell<Vec<Problem>>,
    /// The paths that were read, to be compared with [`KEYS`].
    #[cfg(test)]
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'d> Document<'d> {
    /// Notes the syntax errors. Returns the tree beside it, as far as it could be understood.
    pub(super) fn parse(text: &'d str) -> (Self, Spanned<DeTable<'d>>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            text,
            broken: BTreeSet::new(),
            problems: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        };
        let mut unclosed = Vec::new();
        find_unclosed(text, root.get_ref(), &mut unclosed);
        for span in &unclosed {
            let what = if text.get(span.start..).is_some_and(|t| t.starts_with('[')) { "list" } else { "table" };
            document.syntax(span.start, format!("this {what} is not closed"));
        }
        let inside = |at: usize| unclosed.iter().any(|span| span.start <= at && at <= span.end);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            if !inside(at) {
                document.syntax(at, format!("not TOML: {}", error.message()));
            }
        }
        for span in unclosed {
            let (first, last) = (document.position(span.start).0, document.position(span.end).0);
            document.broken.extend(first..=last);
        }
        (document, root)
    }

    /// One syntax error for each line: the parser tends to stumble several times over the same one.
    fn syntax(&mut self, offset: usize, message: String) {
        let (line, column) = self.position(offset);
        if self.broken.insert(line) {
            let text = values::shown(self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim());
            self.problems.get_mut().push(Problem::new(&Place { line, column, key: String::new(), text }, message));
        }
    }

    /// The table of the whole file.
    pub(super) fn root<'a>(&'a self, root: &'a Spanned<DeTable<'d>>) -> Section<'a, 'd> {
        let table = Some(root.get_ref());
        let section = Section { document: self, table, path: String::new(), generic: String::new(), span: None, faulty: false };
        section.find_unknown();
        section
    }

    /// Everything found wrong.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    /// The paths that were read.
    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<&'static str> {
        self.asked.borrow().clone()
    }

    /// Whether there are syntax errors.
    pub(super) fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    fn report(&self, place: &Place, message: impl Into<String>) {
        if !self.broken.contains(&place.line) {
            self.problems.borrow_mut().push(Problem::new(place, message));
        }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        (line, column)
    }

    fn place(&self, span: Range<usize>, key: &str) -> Place {
        let (line, column) = self.position(span.start);
        Place { line, column, key: key.to_owned(), text: values::shown(self.text.get(span).unwrap_or_default()) }
    }

    /// The place of something that was not written: where its table begins, without a value.
    fn place_of_table(&self, span: Option<&Range<usize>>, key: &str) -> Place {
        let (line, column) = span.map_or((0, 0), |span| self.position(span.start));
        Place { line, column, key: key.to_owned(), text: String::new() }
    }
}

/// Lists and inline tables whose closing bracket is missing: what follows them was taken for their contents.
fn find_unclosed(text: &str, table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    fn look(text: &str, value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
        let written = text.get(value.span()).unwrap_or_default();
        match value.get_ref() {
            // A list of tables ends with the header's bracket, a dotted key's table with its name.
            DeValue::Array(_) if written.starts_with('[') && !written.ends_with(']') => found.push(value.span()),
            DeValue::Table(_) if written.starts_with('{') && !written.ends_with('}') => found.push(value.span()),
            DeValue::Array(list) => list.iter().for_each(|element| look(text, element, found)),
            DeValue::Table(table) => find_unclosed(text, table, found),
            _ => {}
        }
    }
    table.values().for_each(|value| look(text, value, found));
}

/// One table of the file; an absent one has only defaults.
pub(super) struct Section<'a, 'd> {
    document: &'a Document<'d>,
    table: Option<&'a DeTable<'d>>,
    /// As it is shown, such as `pipelines.flights.order`.
    path: String,
    /// As it stands in [`KEYS`], such as `pipelines.*.order`.
    generic: String,
    /// Where it begins; none for the file as a whole.
    span: Option<Range<usize>>,
    /// Something else stands where the table should; that is noted, and what it lacks is not.
    faulty: bool,
}

/// A value on its way from the tree to its type: what the parsers in `parse.rs` get.
pub(super) struct Reading<'a, 'd> {
    /// The key's entry.
    pub(super) doc: &'static KeyDoc,
    document: &'a Document<'d>,
    path: String,
    /// Where a default stands; none for a written value.
    default: Option<Place>,
    faults: usize,
}

impl Reading<'_, '_> {
    /// The value at a span of this reading, with its place.
    pub(super) fn at<T>(&self, span: Range<usize>, value: T) -> At<T> {
        let place = match &self.default {
            Some(place) => place.clone(),
            None => self.document.place(span, &self.path),
        };
        At { value, place }
    }

    /// Notes a fault at a span. Always none, so that a parser can end with it.
    pub(super) fn fault<T>(&mut self, span: Range<usize>, message: impl Into<String>) -> Option<T> {
        self.faults += 1;
        let at = self.at(span, ());
        self.document.report(&at.place, message);
        None
    }

    /// Notes that the value is of another type than the key wants.
    pub(super) fn mismatch<T>(&mut self, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let message = format!("expected {}, not {}", self.doc.kind, article(value.get_ref()));
        self.fault(value.span(), message)
    }
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'a, 'd> Section<'a, 'd> {
    /// Whether the file has this table.
    pub(super) fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// Whether something else stands where the table should.
    pub(super) fn is_faulty(&self) -> bool {
        self.faulty
    }

    /// The table's own place.
    pub(super) fn place(&self) -> Place {
        self.document.place_of_table(self.span.as_ref(), &self.path)
    }

    /// Notes a problem with something that is not written.
    pub(super) fn missing(&self, key: &str, message: impl Into<String>) {
        if !self.faulty && !self.document.is_broken() {
            self.document.report(&self.document.place_of_table(self.span.as_ref(), &join(&self.path, key)), message);
        }
    }

    /// Notes a problem with a value that was read.
    pub(super) fn problem<T>(&self, at: &At<T>, message: impl Into<String>) {
        self.document.report(&at.place, message);
    }

    /// The value of a key: as written, else its default, else none. A faulty one is noted and replaced by its default.
    pub(super) fn read<T>(&self, key: &str, parse: impl Fn(&Spanned<DeValue<'_>>, &mut Reading<'_, '_>) -> Option<T>) -> Option<At<T>> {
        let generic = join(&self.generic, key);
        let path = join(&self.path, key);
        let Some(doc) = keys::find(&generic) else {
            self.document.report(&Place { key: generic, ..Place::default() }, "read, but not in the table of keys");
            return None;
        };
        #[cfg(test)]
        self.document.asked.borrow_mut().insert(doc.path);
        if let Some(value) = self.get(key) {
            let mut reading = Reading { doc, document: self.document, path: path.clone(), default: None, faults: 0 };
            let parsed = parse(value, &mut reading);
            if let (Some(parsed), 0) = (parsed, reading.faults) {
                return Some(reading.at(value.span(), parsed));
            }
        } else if doc.required && (self.is_written() || self.generic.starts_with("pipelines.")) {
            self.missing(key, format!("missing; it must be {}", doc.kind));
        }
        let mut place = self.place();
        place.key.clone_from(&path);
        let default = DeValue::parse(doc.default?).ok()?;
        let mut reading = Reading { doc, document: self.document, path, default: Some(place), faults: 0 };
        let parsed = parse(&default, &mut reading)?;
        Some(reading.at(default.span(), parsed))
    }

    /// A table within this one.
    pub(super) fn section(&self, key: &str) -> Section<'a, 'd> {
        let value = self.get(key);
        let table = value.and_then(|value| self.table_of(value, &join(&self.path, key)));
        self.child(key, join(&self.generic, key), table, value.map(Spanned::span))
    }

    /// The tables within this one, under names that the operator chose, each with the place of its name.
    pub(super) fn named(&self) -> Vec<(At<String>, Section<'a, 'd>)> {
        let entries = self.table.into_iter().flatten();
        let children = entries.map(|(name, value)| {
            let path = join(&self.path, name.get_ref());
            let table = self.table_of(value, &path);
            let mut place = self.document.place(name.span(), &path);
            place.text = String::new();
            let generic = join(&self.generic, "*");
            (At { value: name.get_ref().to_string(), place }, self.child(name.get_ref(), generic, table, Some(value.span())))
        });
        children.collect()
    }

    /// The tables of a list of tables; none when it is something else.
    pub(super) fn list(&self, key: &str) -> Option<Vec<Section<'a, 'd>>> {
        let Some(value) = self.get(key) else { return Some(Vec::new()) };
        let DeValue::Array(elements) = value.get_ref() else {
            let place = self.document.place(value.span(), &join(&self.path, key));
            self.document.report(&place, format!("expected a list of tables, [[…{key}]], not {}", article(value.get_ref())));
            return None;
        };
        let children = elements.iter().enumerate().map(|(index, element)| {
            let name = format!("{key}[{index}]");
            let table = self.table_of(element, &join(&self.path, &name));
            self.child(&name, join(&self.generic, &format!("{key}[]")), table, Some(element.span()))
        });
        Some(children.collect())
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'d>>> {
        self.table.and_then(|table| table.get(key))
    }

    fn table_of<'t>(&self, value: &'t Spanned<DeValue<'d>>, path: &str) -> Option<&'t DeTable<'d>> {
        if let DeValue::Table(table) = value.get_ref() {
            return Some(table);
        }
        let place = self.document.place(value.span(), path);
        self.document.report(&place, format!("expected a table, not {}", article(value.get_ref())));
        None
    }

    fn child(&self, name: &str, generic: String, table: Option<&'a DeTable<'d>>, span: Option<Range<usize>>) -> Section<'a, 'd> {
        let path = join(&self.path, name);
        let faulty = self.faulty || (span.is_some() && table.is_none());
        Section { document: self.document, table, path, generic, span: span.or_else(|| self.span.clone()), faulty }
    }

    /// Notes every key of this table, and of those within, that is not in [`KEYS`].
    fn find_unknown(&self) {
        for (key, value) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            let named = self.generic == "pipelines";
            let generic = join(&self.generic, if named { "*" } else { name });
            if keys::find(&generic).is_some() {
                continue;
            }
            let list = format!("{generic}[]");
            if is_section(&generic) {
                if let DeValue::Table(table) = value.get_ref() {
                    self.child(name, generic, Some(table), Some(value.span())).find_unknown();
                }
            } else if is_section(&list) {
                let elements = value.get_ref().as_array().into_iter().flatten();
                for (index, element) in elements.enumerate() {
                    if let DeValue::Table(table) = element.get_ref() {
                        self.child(&format!("{name}[{index}]"), list.clone(), Some(table), Some(element.span())).find_unknown();
                    }
                }
            } else {
                let mut place = self.document.place(value.span(), &join(&self.path, name));
                (place.line, place.column) = self.document.position(key.span().start);
                if !matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_)) {
                    place.text = values::shown(self.document.text.get(value.span()).unwrap_or_default());
                } else {
                    place.text = String::new();
                }
                self.document.report(&place, unknown(&self.generic, name));
            }
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn is_section(generic: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(generic).is_some_and(|rest| rest.starts_with('.')))
}

/// What to say about a key that does not exist: where it belongs, or the one that was probably meant, or what there is.
fn unknown(section: &str, name: &str) -> String {
    const CLOSE: f64 = 0.8;
    let home = |within: &str| {
        let mut homes = KEYS.iter().filter_map(|key| key.path.rsplit_once('.'));
        let (table, _) = homes.find(|(table, last)| *last == name && table.starts_with(within))?;
        Some(format!("unknown key here; {name} belongs to [{}]", table.replace("[]", "").replace('*', "NAME")))
    };
    let siblings: BTreeSet<&str> = KEYS.iter().filter_map(|key| child_of(section, key.path)).collect();
    let near = || {
        let scores = siblings.iter().map(|sibling| (strsim::jaro_winkler(sibling, name), *sibling));
        let best = scores.filter(|(score, _)| *score > CLOSE).max_by(|a, b| a.0.total_cmp(&b.0));
        best.map(|(_, sibling)| format!("unknown key; did you mean {sibling}?"))
    };
    let inner = (!section.is_empty()).then(|| home(&format!("{section}."))).flatten();
    inner
        .or_else(near)
        .or_else(|| home(""))
        .unwrap_or_else(|| format!("unknown key; allowed: {}", siblings.iter().copied().collect::<Vec<_>>().join(", ")))
}

/// The name of the key or table directly within the section that the path leads through.
fn child_of(section: &str, path: &'static str) -> Option<&'static str> {
    let rest = if section.is_empty() { path } else { path.strip_prefix(section)?.strip_prefix('.')? };
    rest.split('.').next().map(|name| name.trim_end_matches("[]"))
}
