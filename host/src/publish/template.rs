//! The subject of each event, from a template such as `flights.{tailnum}`. Pure.

use super::field::{Field, Values};
use seriatim_contract::{subject_token, valid_pattern};

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("--subject {template}: a brace is not closed or not opened; fields stand as {{field}}")]
    Brace {
        /// The template.
        template: String,
    },
    /// `{}`.
    #[error("--subject {template}: a field without a name; fields stand as {{field}}")]
    NoName {
        /// The template.
        template: String,
    },
    /// What it makes is no subject.
    #[error("--subject {template}: this makes no subject; a subject is words between dots, without spaces and wildcards")]
    NoSubject {
        /// The template.
        template: String,
    },
}

/// A checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

impl Template {
    /// Reads a template: `{field}` stands for the field's value, everything else for itself.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let brace = || TemplateError::Brace { template: text.to_owned() };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or_else(brace)?;
            if before.contains('}') || name.contains('{') {
                return Err(brace());
            }
            if name.is_empty() {
                return Err(TemplateError::NoName { template: text.to_owned() });
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Field(Field::new(name)));
            rest = behind;
        }
        if rest.contains('}') {
            return Err(brace());
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        let template = Self { text: text.to_owned(), parts };
        let written = template.parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(['*', '>', '\0'])));
        if written || !valid_pattern(&template.pattern()) {
            return Err(TemplateError::NoSubject { template: text.to_owned() });
        }
        Ok(template)
    }

    /// The template as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pattern that every subject made of it lies in: each word with a field in it is `*`.
    #[must_use]
    pub fn pattern(&self) -> String {
        let marked: String = self.parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "\0" }).collect();
        marked.split('.').map(|token| if token.contains('\0') { "*" } else { token }).collect::<Vec<_>>().join(".")
    }

    /// The fields in it, in order.
    pub fn fields_mut(&mut self) -> impl Iterator<Item = &mut Field> {
        self.parts.iter_mut().filter_map(|part| if let Part::Field(field) = part { Some(field) } else { None })
    }

    /// The fields in it, in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.parts.iter().filter_map(|part| if let Part::Field(field) = part { Some(field) } else { None })
    }

    /// The subject for a row, its values written by the rule of [`subject_token`].
    ///
    /// # Errors
    /// The field that has no value that could stand in a subject, and why.
    pub fn subject<'a>(&'a self, values: &Values) -> Result<String, (&'a Field, String)> {
        let mut subject = String::with_capacity(self.text.len() + 16);
        for part in &self.parts {
            match part {
                Part::Text(text) => subject.push_str(text),
                Part::Field(field) => match values.text(field) {
                    Ok(Some(value)) if !value.is_empty() => subject.push_str(&subject_token(&value)),
                    Ok(_) => return Err((field, "is missing or empty, and the subject is made of it".to_owned())),
                    Err(reason) => return Err((field, reason)),
                },
            }
        }
        Ok(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use seriatim_contract::{subject_matches, valid_subject};

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn fields_become_tokens() {
        let values = Values::Json(json!({ "tail": "N 1.x", "n": 7, "deep": { "er": "ü" }, "none": null, "empty": "" }));
        assert_eq!(template("flights.{tail}.v{n}.{/deep/er}").subject(&values).unwrap(), "flights.N=201=2Ex.v7.=C3=BC");
        assert_eq!(template("flights.all").subject(&values).unwrap(), "flights.all");
        for missing in ["a.{none}", "a.{empty}", "a.{absent}", "a.x{empty}"] {
            assert!(template(missing).subject(&values).unwrap_err().1.contains("missing or empty"), "{missing}");
        }
    }

    #[test]
    fn the_pattern_has_a_star_for_each_word_with_a_field() {
        assert_eq!(template("flights.{tail}.v{n}.{a}{b}.x").pattern(), "flights.*.*.*.x");
        assert_eq!(template("{a}").pattern(), "*");
        assert_eq!(template("a.b").pattern(), "a.b");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["a.{b", "a.b}", "a.{b{c}}", "a.}{b}", "a}b"] {
            assert!(matches!(Template::parse(text), Err(TemplateError::Brace { .. })), "{text}");
        }
        assert!(matches!(Template::parse("a.{}"), Err(TemplateError::NoName { .. })));
        for text in ["", ".", "a.", "a..{b}", "a b.{c}", "*.{a}", "a.>", "a.*{b}"] {
            assert!(matches!(Template::parse(text), Err(TemplateError::NoSubject { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_subject_lies_in_the_pattern(one in "\\PC{1,8}", two in "\\PC{1,8}") {
            let template = template("a.{one}.x{two}y.{two}{one}");
            let subject = template.subject(&Values::Json(json!({ "one": one, "two": two }))).unwrap();
            prop_assert!(valid_subject(&subject));
            prop_assert!(subject_matches(&template.pattern(), &subject));
        }
    }
}
