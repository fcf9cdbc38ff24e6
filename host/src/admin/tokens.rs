//! The token file: who may ask, one token a line, `name role token` with blanks between. Empty lines and lines that begin with `#` do not count. Roles:
//! `read` (ask) and `operate` (ask and change). The file is read at start.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

/// Shortest token, bytes. `openssl rand -hex 32` makes a good one.
pub const TOKEN_BYTES_MIN: usize = 20;
/// Longest token, bytes.
const TOKEN_BYTES_MAX: usize = 512;
/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most tokens of a file: each request is compared with all.
const TOKENS_MAX: usize = 1_000;
/// Largest file, bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Ask.
    Read,
    /// Ask and change.
    Operate,
}

/// Why there are no tokens. No variant ever shows a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("the token file {} cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no token file.
    #[error("{}:{line}: {reason}; a line is: name role token, where role is read or operate", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// It has no token.
    #[error("the token file {} has no token; a line is: name role token, where role is read or operate", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Clone)]
struct Token {
    name: Arc<str>,
    role: Role,
    digest: [u8; 32],
}

/// All tokens of a file. Keeps digests only.
#[derive(Clone)]
pub(super) struct Tokens(Arc<[Token]>);

impl Tokens {
    /// Reads a file.
    pub(super) fn load(path: &Path) -> Result<Self, TokenFileError> {
        Self::parse(path, &read(path)?)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, TokenFileError> {
        let mut tokens: Vec<Token> = Vec::new();
        for (index, words) in lines(text) {
            let fault = |reason: String| TokenFileError::Line { path: path.to_owned(), line: index + 1, reason };
            let [name, role, token] = words[..] else {
                return Err(fault(format!("{} words instead of three", words.len())));
            };
            let role = role_of(role).ok_or_else(|| fault(format!("the role {role:?} is not known")))?;
            check_name(name).map_err(fault)?;
            check_token(token).map_err(fault)?;
            let token = Token { name: name.into(), role, digest: digest(token) };
            if tokens.iter().any(|known| known.name == token.name) {
                return Err(fault(format!("the name {name:?} stands in an earlier line already")));
            }
            if tokens.iter().any(|known| known.digest == token.digest) {
                return Err(fault("this token stands in an earlier line already".to_owned()));
            }
            if tokens.len() == TOKENS_MAX {
                return Err(fault(format!("more than {TOKENS_MAX} tokens")));
            }
            tokens.push(token);
        }
        if tokens.is_empty() {
            return Err(TokenFileError::Empty { path: path.to_owned() });
        }
        Ok(Self(tokens.into()))
    }

    /// Whose token this is. Takes as long for a wrong one as for a right one.
    pub(super) fn find(&self, token: &str) -> Option<(Arc<str>, Role)> {
        let digest = digest(token);
        let mut found = u32::MAX;
        for (index, known) in (0_u32..).zip(self.0.iter()) {
            let same: Choice = known.digest.ct_eq(&digest);
            found = u32::conditional_select(&found, &index, same);
        }
        let found = self.0.get(usize::try_from(found).ok()?)?;
        Some((Arc::clone(&found.name), found.role))
    }
}

/// The token that a client gives, from its own file: a file that holds just a token, or a token file, of which it is the first line with the role
/// `operate`, else the first.
///
/// # Errors
/// When the file cannot be read or holds no token.
pub fn own_token(path: &Path) -> Result<String, TokenFileError> {
    let text = read(path)?;
    let mut best: Option<(Role, String)> = None;
    for (index, words) in lines(&text) {
        let (role, token) = match words[..] {
            [token] => (Some(Role::Operate), token),
            [_, role, token] => (role_of(role), token),
            _ => (None, ""),
        };
        let fault = |reason: &str| TokenFileError::Line { path: path.to_owned(), line: index + 1, reason: reason.to_owned() };
        let role = role.ok_or_else(|| fault("neither a token nor a line of a token file"))?;
        check_token(token).map_err(|reason| fault(&reason))?;
        if best.as_ref().is_none_or(|(known, _)| *known < role) {
            best = Some((role, token.to_owned()));
        }
    }
    best.map(|(_, token)| token).ok_or_else(|| TokenFileError::Empty { path: path.to_owned() })
}

fn read(path: &Path) -> Result<String, TokenFileError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    let read = read.and_then(|length| {
        let fits = length as u64 <= FILE_BYTES_MAX;
        if fits { Ok(()) } else { Err(std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes"))) }
    });
    read.map_err(|source| TokenFileError::Io { path: path.to_owned(), source })?;
    Ok(text)
}

fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(index, line)| {
        // One more than a line may have is enough to see that it has too many.
        (index, line.split_whitespace().take(4).collect())
    })
}

fn role_of(word: &str) -> Option<Role> {
    match word {
        "read" => Some(Role::Read),
        "operate" => Some(Role::Operate),
        _ => None,
    }
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() > NAME_BYTES_MAX || name.contains(char::is_control) {
        return Err(format!("the name is longer than {NAME_BYTES_MAX} bytes or has control characters"));
    }
    Ok(())
}

fn check_token(token: &str) -> Result<(), String> {
    if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len()) {
        return Err(format!("the token has {} bytes; allowed: {TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX}", token.len()));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the token has characters that are not visible ASCII".to_owned());
    }
    Ok(())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdefghij";
    const TWO: &str = "0123456789abcdefghik";

    fn parse(text: &str) -> Result<Tokens, String> {
        Tokens::parse(Path::new("tokens"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_line_is_a_name_a_role_and_a_token() {
        let tokens = parse(&format!("# who\n\n  ann  operate {ONE}\r\nbob\tread\t{TWO}\n")).unwrap();
        assert_eq!(tokens.find(ONE), Some(("ann".into(), Role::Operate)));
        assert_eq!(tokens.find(TWO), Some(("bob".into(), Role::Read)));
        for wrong in ["", "0123456789abcdefghi", "0123456789abcdefghijk", "ann"] {
            assert_eq!(tokens.find(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_no_token_file_is_refused_with_its_line_and_without_the_token() {
        for (text, said) in [
            (String::new(), "has no token"),
            ("# nothing\n".to_owned(), "has no token"),
            (format!("\n{ONE}"), "tokens:2: 1 words instead of three"),
            (format!("a b read {ONE}"), "tokens:1: 4 words instead of three"),
            (format!("ann admin {ONE}"), "tokens:1: the role \"admin\" is not known"),
            ("ann read short".to_owned(), "the token has 5 bytes; allowed: 20 to 512"),
            (format!("ann read {ONE}ü"), "not visible ASCII"),
            (format!("ann read {ONE}\nann read {TWO}"), "tokens:2: the name \"ann\" stands in an earlier line"),
            (format!("ann read {ONE}\nbob read {ONE}"), "tokens:2: this token stands in an earlier line"),
        ] {
            let error = parse(&text).err().unwrap();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains(ONE), "{error}");
        }
    }

    #[test]
    fn a_client_takes_its_own_token_or_the_first_that_may_operate() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t");
        let own = |text: &str| {
            std::fs::write(&file, text).unwrap();
            own_token(&file).map_err(|error| error.to_string())
        };
        assert_eq!(own(&format!("{ONE}\n")).unwrap(), ONE);
        assert_eq!(own(&format!("a read {ONE}\nb operate {TWO}\n")).unwrap(), TWO);
        assert_eq!(own(&format!("a read {ONE}\n")).unwrap(), ONE);
        assert!(own("").unwrap_err().contains("has no token"));
        assert!(own("two words").unwrap_err().contains("neither a token"));
        assert!(own_token(&folder.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
    }
}
