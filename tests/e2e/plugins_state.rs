//! Promise: state gets from one version to another with the entity's next event, in the same commit; what cannot be migrated parks its entity and stays
//! as it was; a rollback takes back what nobody has written to since, and parks the others.

use crate::harness::components::versions;
use crate::harness::config::Handler;
use crate::harness::{Host, Input, OUTPUTS, Operator, World, until};
use serde_json::Value;
use std::fs;

struct Stage {
    world: World,
    operator: Operator,
}

impl Stage {
    async fn new() -> (Self, Host) {
        let mut world = World::new().await;
        let component = world.path("handler.wasm");
        fs::write(&component, versions("old", 1)).expect("the component");
        world.config.flights().handlers = vec![Handler { component, ..Handler::echo() }];
        let (host, operator) = Operator::with_host(&mut world).await;
        (Self { world, operator }, host)
    }

    fn load(&self, name: &str, version: u32) {
        let path = self.world.path(&format!("{name}.wasm"));
        fs::write(&path, versions(name, version)).expect("a component");
        self.operator.ask(&["plugin", "load", &path.display().to_string()]);
    }

    async fn comes(&mut self, entity: &str, sequence: u64, payload: &str) {
        self.world.publish_one(Input::event(entity, sequence).payload(payload)).await;
    }

    async fn handled(&mut self, entity: &str, sequence: u64, payload: &str) {
        self.comes(entity, sequence, payload).await;
        self.world.until_applied(entity, sequence).await;
    }

    async fn parks(&self, entity: &str, words: &[&str]) {
        until(&format!("{entity} to park"), async || {
            let report = self.operator.ask(&["entity", "show", entity]);
            let error = report["last_error"]["message"].as_str().unwrap_or_default().to_owned();
            let parked = report["state"] == "parked" && words.iter().all(|word| error.contains(word));
            if parked { Ok(()) } else { Err(report.to_string()) }
        })
        .await;
    }

    fn shape(&self, entity: &str) -> String {
        let state = self.operator.ask(&["entity", "state", entity, "--handler", "echo"]);
        let entries = state["entries"].as_array().cloned().unwrap_or_default();
        let shape = entries.iter().find(|entry| entry["key"] == "shape").map(|entry| entry["value"].clone());
        shape.as_ref().and_then(Value::as_str).unwrap_or_else(|| panic!("{state}")).to_owned()
    }

    async fn outputs(&self, entity: &str) -> Vec<(String, String)> {
        let kept = self.world.read(OUTPUTS).await;
        let of = kept.iter().filter(|kept| kept.header("Seriatim-Entity") == Some(entity));
        let both = |kept: &seriatim_tests::checker::Kept| {
            let text = |name| kept.header(name).unwrap_or_default().to_owned();
            (text("Made-By"), text("Echo-Count"))
        };
        of.map(both).collect()
    }
}

#[tokio::test]
async fn state_is_migrated_with_the_next_event_of_each_entity() {
    let (mut stage, mut host) = Stage::new().await;
    for entity in ["a", "b", "c"] {
        stage.handled(entity, 1, "x").await;
        stage.handled(entity, 2, "x").await;
    }
    stage.load("new", 2);
    assert_eq!(stage.shape("a"), "1:2", "nobody has asked for it yet");
    stage.handled("a", 3, "x").await;
    assert_eq!(stage.shape("a"), "2:3");
    assert_eq!(stage.shape("b"), "1:2");
    host.kill();
    let host = stage.world.host().await;
    stage.handled("b", 3, "x").await;
    stage.handled("a", 4, "x").await;
    assert_eq!((stage.shape("a"), stage.shape("b")), ("2:4".to_owned(), "2:3".to_owned()));
    stage.load("newer", 3);
    stage.handled("c", 3, "x").await;
    stage.handled("a", 5, "x").await;
    assert_eq!((stage.shape("a"), stage.shape("c")), ("3:5".to_owned(), "3:3".to_owned()), "from both versions before it");
    let made: Vec<_> = stage.outputs("a").await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(made, ["old", "old", "new", "new", "newer"]);
    stage.world.settle(host).await;
    stage.world.judge(&stage.world.everything()).await;
}

#[tokio::test]
async fn a_failed_migration_parks_the_entity_and_leaves_its_state() {
    let (mut stage, host) = Stage::new().await;
    stage.handled("a", 1, "x").await;
    stage.handled("a", 2, "stick").await;
    stage.handled("b", 1, "x").await;
    stage.load("new", 2);
    stage.comes("a", 3, "x").await;
    stage.handled("b", 2, "x").await;
    stage.parks("a", &["could not migrate the state from version 1", "stuck in version 1"]).await;
    assert_eq!(stage.shape("a"), "1:1", "as it was");
    // The component that knows the state takes it up again.
    stage.operator.ask(&["plugin", "rollback"]);
    assert!(stage.operator.say("resume", "a", 3));
    stage.world.until_applied("a", 3).await;
    assert_eq!(stage.shape("a"), "1:2");
    let made: Vec<_> = stage.outputs("a").await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(made, ["old", "old", "old"]);
    stage.world.settle(host).await;
}

#[tokio::test]
async fn a_rollback_restores_what_nobody_has_written_to_and_parks_the_others() {
    let (mut stage, mut host) = Stage::new().await;
    for entity in ["untouched", "looked", "written"] {
        stage.handled(entity, 1, "x").await;
    }
    stage.load("new", 2);
    stage.handled("looked", 2, "look").await;
    stage.handled("written", 2, "x").await;
    assert_eq!((stage.shape("looked"), stage.shape("written")), ("2:1".to_owned(), "2:2".to_owned()));
    host.kill();
    let host = stage.world.host().await;
    stage.operator.ask(&["plugin", "rollback"]);
    stage.handled("untouched", 2, "x").await;
    stage.handled("looked", 3, "x").await;
    assert_eq!((stage.shape("untouched"), stage.shape("looked")), ("1:2".to_owned(), "1:2".to_owned()));
    stage.comes("written", 3, "x").await;
    stage.parks("written", &["the state has version 2", "events have written to the newer one since"]).await;
    assert_eq!(stage.shape("written"), "2:2");
    // Forward again: it goes on where it was.
    stage.load("new", 2);
    assert!(stage.operator.say("resume", "written", 3));
    stage.world.until_applied("written", 3).await;
    assert_eq!(stage.shape("written"), "2:3");
    stage.world.settle(host).await;
}

#[tokio::test]
async fn what_is_confirmed_is_not_taken_back() {
    let (mut stage, host) = Stage::new().await;
    stage.handled("a", 1, "x").await;
    stage.load("new", 2);
    stage.handled("a", 2, "look").await;
    stage.operator.ask(&["plugin", "confirm"]);
    stage.operator.ask(&["plugin", "rollback"]);
    stage.comes("a", 3, "x").await;
    stage.parks("a", &["the state has version 2"]).await;
    stage.world.settle(host).await;
}
