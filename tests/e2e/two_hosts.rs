//! Promise (G6): two hosts never both work for one pipeline: not on one folder, not with an empty folder beside the known one, not with an
//! older copy of the folder.

use crate::harness::{Input, World, copy_folder};

#[tokio::test]
async fn a_second_host_on_the_same_folder_refuses() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    let mut second = world.launch(&[], "");
    let status = second.ended().await;
    assert!(!status.success(), "it refuses, not {status}");
    second.refuses(&["store"]).await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 2).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn an_empty_folder_for_a_known_pipeline_refuses_until_told_to_take_over() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
    world.until_applied("a", 2).await;
    host.stop().await;
    let before = world.sent.clone();
    world.judge(&world.everything()).await;

    world.config.store = world.path("another-store");
    let mut host = world.launch(&[], "");
    host.refuses(&["--take-over"]).await;
    drop(host);
    world.judge(&world.everything()).await;
    assert_eq!(world.sent.len(), before.len());

    let mut host = world.launch(&["--take-over"], "");
    host.ready().await;
    host.stop().await;
}

#[tokio::test]
async fn an_older_copy_of_the_folder_refuses() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
    world.until_applied("a", 2).await;
    host.stop().await;
    let copy = world.path("copied-store");
    copy_folder(&world.config.store, &copy);

    let mut host = world.host().await;
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    host.stop().await;

    let original = std::mem::replace(&mut world.config.store, copy);
    let mut stale = world.launch(&[], "");
    stale.refuses(&["run"]).await;
    drop(stale);

    world.config.store = original;
    let host = world.host().await;
    world.publish_one(Input::event("a", 4)).await;
    world.until_applied("a", 4).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// A copy made of a running host's folder raises the run number when it starts: the original finds that and stops committing.
#[tokio::test]
async fn a_running_host_gives_way_to_a_copy_that_started_later() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
    world.until_applied("a", 2).await;
    let copy = world.path("copied-store");
    host.freeze();
    copy_folder(&world.config.store, &copy);
    host.thaw();
    world.config.store = copy;
    let second = world.host().await;
    let status = host.ended().await;
    assert!(!status.success(), "it gives way, not {status}");

    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    world.settle(second).await;
    world.judge(&world.everything()).await;
}
