//! The page for people: it needs no token, has no data, and is shown to nobody under a foreign name.

use super::{Settings, open, start};
use crate::admin::testing::Memory;
use crate::admin::tokens::Tokens;
use std::path::Path;

const FILES: [(&str, &str); 3] = [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")];

#[tokio::test]
async fn the_page_is_there_before_a_token_is() {
    let tokens = Tokens::parse(Path::new("tokens"), "ann operate operate-0123456789ab\n").unwrap();
    let api = start(Memory::with(&["a"]), Settings::of(Some(tokens), None, &[])).await;
    for (path, kind) in FILES {
        let got = api.get(path).await;
        assert_eq!(got.status, 200, "{path}: {}", got.head);
        assert!(got.head.contains(&format!("content-type: {kind}")), "{path}: {}", got.head);
        for header in
            ["content-security-policy: default-src 'none'; script-src 'self'", "x-content-type-options: nosniff", "cache-control: no-store"]
        {
            assert!(got.head.contains(header), "{path}: {header}: {}", got.head);
        }
        assert!(!got.body.contains("flights"), "{path} has data");
    }
    api.get("/api/v1/pipelines").await.is_problem(401, &["token"]);
    for near in ["/page", "/page.js/", "//", "/index.html"] {
        api.get(near).await.is_problem(401, &["token"]);
    }
}

#[tokio::test]
async fn the_page_is_only_read_and_only_under_the_hosts_own_name() {
    let (api, _) = open(&["a"]).await;
    for (path, _) in FILES {
        api.ask("GET", path, &["Host: evil.example"], "").await.is_problem(403, &["evil.example"]);
        api.ask("GET", path, &["Origin: http://evil.example"], "").await.is_problem(403, &["another site"]);
        api.post(path, "{}").await.is_problem(405, &["Allow"]);
    }
}

/// What would make the policy useless, or break under it.
#[tokio::test]
async fn the_page_has_nothing_inline_and_puts_text_in_as_text() {
    let (api, _) = open(&[]).await;
    let (page, script) = (api.get("/").await.body, api.get("/page.js").await.body);
    for word in ["style=", "onclick=", "<style", "http://", "https://"] {
        assert!(!page.contains(word), "{word}");
    }
    for word in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "https://"] {
        assert!(!script.contains(word), "{word}");
    }
}
