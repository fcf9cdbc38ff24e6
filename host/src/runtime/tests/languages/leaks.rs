//! What one entity leaves in an instance is never seen by another.

use super::*;

/// Markers begin with seven bytes that no component has in its code.
fn marker(entity: &str, sequence: u64) -> String {
    format!("\u{7f}canar\u{7f}<{entity}:{sequence}>")
}

/// Everything that was told to an event, by subject.
async fn told(runner: &mut Runner, entity: &str, sequence: u64) -> Vec<String> {
    let given = Given { entity: entity.to_owned(), sequence, kind: String::new(), payload: marker(entity, sequence).into_bytes() };
    match runner.handle(&given).await {
        Came::Out { outputs, .. } => outputs.into_iter().map(|(_, _, payload)| String::from_utf8(payload.to_vec()).unwrap()).collect(),
        Came::Failure { kind, message } => panic!("{kind}: {message}"),
    }
}

#[tokio::test]
async fn what_one_entity_leaves_is_never_seen_by_another() {
    // Room for few instances: each gets the memory of the one before.
    let engine = fresh_engine();
    for component in components("canary", &languages("what_one_entity_leaves_is_never_seen_by_another")) {
        let runner = |isolation| Runner::new(load_once(&engine, &component, handler_config(&[], "out.*", isolation)));

        // The canary sings: without isolation another entity is told.
        let mut shared = runner(Isolation::Shared);
        told(&mut shared, "a", 1).await;
        assert_eq!(told(&mut shared, "b", 1).await[0], marker("a", 1), "{component}");

        // One instance for a run: an entity hears of its own run, and of no other entity.
        let mut run = runner(Isolation::Run);
        assert_eq!(told(&mut run, "a", 1).await.concat(), "", "{component}");
        assert_eq!(told(&mut run, "a", 2).await[0], marker("a", 1), "{component}");
        for (entity, sequence) in [("b", 1), ("a", 3), ("c", 1), ("b", 2)] {
            assert_eq!(told(&mut run, entity, sequence).await.concat(), "", "{component}: {entity} {sequence}");
        }

        // One for each event: nobody hears of anything.
        let mut event = runner(Isolation::Event);
        for sequence in 1..=10 {
            for entity in ["a", "a", "b"] {
                assert_eq!(told(&mut event, entity, sequence).await.concat(), "", "{component}: {entity} {sequence}");
            }
        }
    }
}
