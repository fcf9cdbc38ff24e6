//! Promise: `seriatim health` is what a probe needs: 0 for a host that works, 1 with the reasons for one that does not, and `--live` tells
//! whether a restart would help.

use crate::harness::World;
use crate::harness::host::command;

#[tokio::test]
async fn a_probe_tells_working_from_waiting_from_gone() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    let url = host.url();
    // By its address, so that a config that is being edited does not make a probe fail; no such file is there.
    let none = world.path("none.toml");
    let ask = |args: &[&str]| command(&none, &[&["health", "--url", &url], args].concat());
    assert_eq!(ask(&[]), (Some(0), String::new()));
    assert_eq!(ask(&["--live"]), (Some(0), String::new()));

    world.broker.kill();
    host.unready(&["not connected to the broker"]).await;
    let (code, text) = ask(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("/readyz: 503") && text.contains("not connected to the broker"), "{text}");
    assert_eq!(ask(&["--live"]), (Some(0), String::new()), "a restart brings no broker back");

    host.kill();
    for args in [&[][..], &["--live"]] {
        let (code, text) = ask(args);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(&url) && text.contains("is the host running"), "{text}");
    }
}

#[tokio::test]
async fn without_an_address_the_config_says_where() {
    let mut world = World::new().await;
    let mut host = world.launch(&[], "");
    host.ready().await;
    assert_eq!(command(&world.path("seriatim-1.toml"), &["health"]), (Some(0), String::new()));
    let (code, text) = command(&world.path("none.toml"), &["health"]);
    assert_eq!(code, Some(78), "{text}");
}
