//! The documentation page, in a real browser.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::world::worlds;

#[actix_web::test]
async fn the_documents_are_pages_that_load_nothing_from_elsewhere() {
    let browser = Browser::start().await;
    for world in worlds().await {
        for (page, shows, title) in [
            (
                "/docs",
                "#operations-oauth-request_token",
                "Onyx Auth: partner API",
            ),
            (
                "/admin/docs",
                "#operations-partners-list_partners",
                "Onyx Auth: admin API",
            ),
        ] {
            browser.go(&format!("{}{page}", world.base)).await;
            browser.wait_for(shows).await;
            assert_eq!(browser.url().await, format!("{}{page}/", world.base));
            assert!(browser.text(".info .title").await.starts_with(title));
            // Among a browser's tabs each has a name of its own, and a phone need not look at it from afar.
            let head =
                "return [document.title, document.querySelector('meta[name=viewport]').content]";
            let fitted = "width=device-width, initial-scale=1";
            assert_eq!(browser.ask(head).await, json!([title, fitted]));
            // Whatever the page asked for came from here, and the policy had nothing to stop.
            let foreign = "return performance.getEntriesByType('resource').map(r => r.name) \
                .filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))";
            assert_eq!(browser.ask(foreign).await, json!([]));
            assert_eq!(browser.complaints().await, Vec::<String>::new());
        }
        let page = world.get("/docs/", None).await;
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'none'")
        );
        assert_eq!(page.header("cache-control"), "public, max-age=300");
        // What is written in pieces still says how much it is, and comes whole.
        for part in ["/docs/swagger-ui-bundle.js", "/openapi.json"] {
            let whole = world.get(part, None).await;
            assert_eq!(whole.header("content-length"), whole.text.len().to_string());
        }
        let named = world.get("/docs/index.html", None).await;
        assert_eq!(named.text, page.text);
        world.get("/docs/no-such-file.js", None).await.expect(404);
    }
    browser.quit().await;
}
