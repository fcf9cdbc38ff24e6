//! Whether the files that a config names are there. Apart from reading the config, so that a config can be judged on another machine.

use super::problem::{At, Problem, Problems};
use super::types::{Component, Config, NatsAuth};
use std::fs::File;
use std::path::{Path, PathBuf};

impl Config {
    /// Opens every file that the config names and looks at the store's folder. Makes nothing.
    pub fn check_files(&self) -> Problems {
        let mut problems = Problems::new(&self.file);
        problems.extend(self.files().into_iter().filter_map(|(what, file)| openable(what, &file.value, file)));
        problems.extend(self.components().filter_map(|(path, at)| openable("component", path, at)));
        problems.extend(usable_folder(&self.store.path));
        problems
    }

    fn files(&self) -> Vec<(&'static str, &At<PathBuf>)> {
        let mut files = Vec::new();
        match &self.nats.auth {
            NatsAuth::None => {}
            NatsAuth::Credentials(file) => files.push(("credentials", file)),
            NatsAuth::Nkey(file) => files.push(("nkey", file)),
            NatsAuth::Password { file, .. } => files.push(("password", file)),
            NatsAuth::Token(file) => files.push(("token", file)),
        }
        if let Some(tls) = &self.nats.tls {
            files.extend(tls.ca_file.iter().map(|file| ("certificate", file)));
            files.extend(tls.identity.iter().flat_map(|(cert, key)| [("certificate", cert), ("private key", key)]));
        }
        files.extend(self.admin.token_file.iter().map(|file| ("token", file)));
        if let Some(tls) = &self.admin.tls {
            files.extend([("certificate", &tls.cert_file), ("private key", &tls.key_file)]);
        }
        files
    }

    fn components(&self) -> impl Iterator<Item = (&Path, &At<Component>)> {
        let handlers = self.pipelines.iter().flat_map(|pipeline| &pipeline.handlers);
        handlers.filter_map(|handler| match &handler.component.value {
            Component::File(path) => Some((path.as_path(), &handler.component)),
            Component::Object(_) => None,
        })
    }
}

fn openable<T>(what: &str, path: &Path, at: &At<T>) -> Option<Problem> {
    let is_file = File::open(path).and_then(|open| open.metadata()).map(|meta| !meta.is_dir());
    let path = path.display();
    match is_file {
        Ok(true) => None,
        Ok(false) => Some(at.problem(format!("the {what} file {path} is a folder"))),
        Err(error) => Some(at.problem(format!("the {what} file {path} cannot be opened: {error}"))),
    }
}

/// The folder may be missing (it is made at start), but what is there must be a folder.
fn usable_folder(folder: &At<PathBuf>) -> Option<Problem> {
    let above = folder.ancestors().find(|path| *path == Path::new("") || path.exists())?;
    let usable = above == Path::new("") || above.is_dir();
    (!usable).then(|| folder.problem(format!("{} is not a folder", above.display())))
}
