//! Operators' words about components, to the deployer.

use super::super::{Done, Fault, PluginDone, PluginRow, PluginVersion};
use crate::plugins::Name;
use crate::plugins::deployer::{Deployed, Deployer, Refusal};
use crate::plugins::registry::{Entry, Version};

pub(super) fn rows(deployer: &Deployer) -> Vec<PluginRow> {
    let targets = deployer.targets().iter();
    targets.zip(deployer.list()).map(|(target, (name, entry))| row(&name, &entry, target.config.isolation.name())).collect()
}

fn row(name: &Name, entry: &Entry, isolation: &str) -> PluginRow {
    let running = entry.running().cloned().unwrap_or_default();
    let version = |version: &Version| PluginVersion {
        load: version.load,
        component: version.digest.clone(),
        bytes: version.bytes,
        state_version: version.state_version,
        at: version.at,
        from: version.from.clone(),
    };
    PluginRow {
        pipeline: name.pipeline.to_string(),
        handler: name.handler.to_string(),
        component: running.digest,
        load: running.load,
        state_version: running.state_version,
        isolation: isolation.to_owned(),
        overridden: entry.overridden(),
        refused: Some(entry.refused.clone()).filter(|digest| !digest.is_empty()),
        confirmed: entry.confirmed,
        versions: entry.versions.iter().map(version).collect(),
    }
}

pub(super) fn name(pipeline: &str, handler: &str) -> Name {
    Name { pipeline: pipeline.into(), handler: handler.into() }
}

pub(super) async fn load(deployer: &Deployer, name: Name, component: Vec<u8>, from: String) -> Result<PluginDone, Fault> {
    deployer.load(&name, component, from, false).await.map(done).map_err(fault)
}

pub(super) async fn rollback(deployer: &Deployer, name: Name, to: Option<String>) -> Result<PluginDone, Fault> {
    deployer.rollback(&name, to.as_deref()).await.map(done).map_err(fault)
}

pub(super) async fn confirm(deployer: &Deployer, name: Name) -> Result<Done, Fault> {
    deployer.confirm(&name).await.map(|changed| Done { changed }).map_err(fault)
}

fn done(Deployed { changed, version }: Deployed) -> PluginDone {
    PluginDone { changed, component: version.digest, load: version.load, state_version: version.state_version }
}

fn fault(refusal: Refusal) -> Fault {
    let text = refusal.to_string();
    match refusal {
        Refusal::Unknown(_) => Fault::Unknown(text),
        Refusal::Step { .. } => Fault::Bad(text),
        Refusal::Rollback(detail) => Fault::Conflict { detail, head: None },
        Refusal::Busy(_) | Refusal::Keep(_) => Fault::Unavailable(text),
    }
}
