//! The page behind a link to a secret, in a real browser.

use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::world::{Credential, World, worlds};

/// A link to a fresh client's secret, and the client's id.
async fn link(world: &World) -> (String, String) {
    let operator = world.operator().await;
    let partner = operator.partner().await;
    operator.sandbox_grant(&partner, "orders:read", None).await;
    let body = json!({ "realm": "sandbox", "name": "backend", "scopes": ["orders:read"] });
    let client = operator
        .post(&format!("/partners/{partner}/clients"), body)
        .await
        .expect(201);
    let client = client["id"].as_str().unwrap().to_owned();
    let body = json!({ "kind": "secret", "deliver": "link" });
    let issued = operator
        .post(&format!("/clients/{client}/credentials"), body)
        .await
        .expect(201);
    let url = issued["delivery_url"].as_str().unwrap().to_owned();
    (url, client)
}

/// The sections of the page that are in sight.
async fn sections(browser: &Browser) -> Value {
    let script = "return [...document.querySelectorAll('section')].filter(s => s.checkVisibility()).map(s => s.id)";
    browser.ask(script).await
}

#[actix_web::test]
async fn a_person_opens_a_link_in_a_browser_and_gets_a_token_with_the_secret() {
    let browser = Browser::start().await;
    for world in worlds().await {
        let (url, client) = link(&world).await;
        browser.emulate(1100, 900, false).await;
        browser.go(&url).await;
        browser.wait_for("#ready").await;
        browser.picture("ready-light").await;
        assert_eq!(browser.text("#environment").await, "sandbox");

        browser.press("#open").await;
        browser.wait_for("#shown").await;
        assert_eq!(sections(&browser).await, json!(["shown"]));
        let who = Credential {
            partner_id: String::new(),
            client_id: browser.text("#client-id").await,
            credential_id: String::new(),
            secret: browser.text("#secret").await,
        };
        assert_eq!(who.client_id, client);
        let token = world.token("sandbox", &who, &[]).await;
        world.get("/sandbox/v1/me", Some(&token)).await.expect(200);
        let line = browser.text("#try").await;
        assert!(
            line.contains(&format!("{}/sandbox/oauth2/token", world.base))
                && !line.contains(&who.secret)
        );
        // A screen reader is taken there; the key is no longer in the address or the history.
        assert_eq!(
            browser.ask("return document.activeElement.id").await,
            "shown-title"
        );
        let place = url.split_once('#').unwrap().0;
        assert_eq!(browser.url().await, format!("{place}#shown"));
        browser.picture("shown-light").await;
        copies(&browser, &who).await;
        browser.emulate(375, 812, true).await;
        browser.picture("shown-dark-phone").await;
        // Nothing is wider than a phone.
        let wide =
            "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        assert_eq!(browser.ask(wide).await, json!(false));

        // The secret is in the page, and nowhere that outlives it.
        let kept = "return [document.cookie, localStorage.length, sessionStorage.length, history.state, performance.getEntriesByType('resource').map(r => r.name).join(' ')]";
        let kept = browser.ask(kept).await;
        assert_eq!(kept, json!(["", 0, 0, null, place]));

        // Whoever loads the page anew is told where the secret has gone, and of no other way to open it.
        browser.ask("location.reload()").await;
        browser.wait_for("#past").await;
        assert_eq!(sections(&browser).await, json!(["past"]));
        assert!(!browser.shows("#terminal").await && !browser.shows("#deadline").await);
        browser.picture("past-dark-phone").await;

        // Later, or somebody else with the same link.
        browser.go("about:blank").await;
        browser.go(&url).await;
        browser.press("#open").await;
        browser.wait_for("#before").await;
        assert_eq!(sections(&browser).await, json!(["before"]));
        browser.picture("before-dark-phone").await;
        browser.press("#revoke").await;
        browser.wait_for("#revoked").await;
        browser.emulate(1100, 900, true).await;
        browser.picture("revoked-dark").await;
        assert_eq!(world.token_answer("sandbox", &who, &[]).await.status, 401);
        // The policy let everything through that the page does, and a 410 is all that was refused.
        let complaints = browser.complaints().await;
        let strange = complaints.iter().filter(|line| !line.contains("410"));
        assert_eq!(strange.collect::<Vec<_>>(), Vec::<&String>::new());
    }
    browser.quit().await;
}

/// Presses the buttons that copy: each has a name of its own, and says what came of it.
async fn copies(browser: &Browser, who: &Credential) {
    let names = "return [...document.querySelectorAll('[data-copy]')].map(b => b.ariaLabel)";
    assert_eq!(
        browser.ask(names).await,
        json!(["Copy client id", "Copy client secret"])
    );
    let told =
        "return [...document.querySelectorAll('[data-copy], #said')].map(e => e.textContent)";
    assert_eq!(browser.ask(told).await, json!(["Copy", "Copy", ""]));
    // A screen reader knows of it while it is empty, or it would not tell what comes into it.
    let there = "return document.querySelector('#shown [role=status]').checkVisibility()";
    assert_eq!(browser.ask(there).await, json!(true));

    browser.press("[data-copy=client-id]").await;
    browser.wait_for("#said").await;
    assert_eq!(
        browser.ask(told).await,
        json!(["Copied", "Copy", "Client id copied."])
    );
    // No page may read the clipboard, so here one takes down what is put there.
    let clipboard = "navigator.clipboard.writeText = async text => { globalThis.copied = text }";
    browser.ask(clipboard).await;
    browser.press("[data-copy=secret]").await;
    assert_eq!(
        browser.ask(told).await,
        json!(["Copy", "Copied", "Client secret copied."])
    );
    assert_eq!(browser.ask("return copied").await, json!(who.secret));
    // Where the clipboard is out of reach, it is ready to be copied by hand.
    browser
        .ask("navigator.clipboard.writeText = async () => { throw new Error() }")
        .await;
    browser.press("[data-copy=client-id]").await;
    assert_eq!(
        browser.ask(told).await,
        json!([
            "Selected",
            "Copy",
            "Client id selected: press Ctrl+C, or copy it as your device does."
        ])
    );
    let selected = "return getSelection().toString().trim()";
    assert_eq!(browser.ask(selected).await, json!(who.client_id));
}

#[actix_web::test]
async fn who_never_saw_the_secret_is_told_to_revoke_it_and_then_that_it_is_revoked() {
    let browser = Browser::start().await;
    for world in worlds().await {
        let (url, _) = link(&world).await;
        browser.emulate(1100, 900, false).await;
        browser.go(&url).await;
        browser.wait_for("#ready").await;
        // The server answers, and the answer gets lost.
        let lose = "const real = fetch; globalThis.fetch = async (...asked) => { \
            globalThis.fetch = real; await real(...asked); throw new TypeError('lost') }";
        browser.ask(lose).await;
        browser.press("#open").await;
        browser.wait_for("#trouble").await;
        let trouble = browser.text("#trouble").await;
        assert!(trouble.contains("the answer was lost: revoke"), "{trouble}");
        browser.press("#open").await;
        browser.wait_for("#before").await;
        let before = browser.text("#before").await;
        assert!(before.contains("you never saw it"), "{before}");
        browser.picture("before-light").await;
        browser.press("#revoke").await;
        browser.wait_for("#revoked").await;

        // Opened once more, it says no more that all may be well; the page itself promises nothing.
        browser.go("about:blank").await;
        browser.go(&url).await;
        browser.wait_for("#ready").await;
        let ready = browser.text("#ready").await;
        assert!(ready.contains("Looking at it opens nothing."), "{ready}");
        browser.press("#open").await;
        browser.wait_for("#revoked").await;
        assert_eq!(sections(&browser).await, json!(["revoked"]));
    }
    browser.quit().await;
}

#[actix_web::test]
async fn a_damaged_link_opens_nothing_and_without_scripts_the_page_tells_another_way() {
    let browser = Browser::start().await;
    for world in worlds().await {
        let (url, _) = link(&world).await;
        let (place, _) = url.split_once('#').unwrap();
        for damaged in [
            place.to_owned(),
            format!("{place}#short"),
            format!("{}#", place),
        ] {
            browser.go("about:blank").await;
            browser.go(&damaged).await;
            browser.wait_for("#broken").await;
            assert_eq!(sections(&browser).await, json!(["broken"]));
        }
        // Of the right length, and wrong: the server does not know it.
        browser.go("about:blank").await;
        browser.go(&format!("{place}#{}", "A".repeat(43))).await;
        browser.press("#open").await;
        browser.wait_for("#broken").await;
        // The whole link, pasted over it.
        browser.go(&url).await;
        browser.wait_for("#ready").await;
        browser.scripts(false).await;
        browser.go("about:blank").await;
        browser.go(&url).await;
        assert!(!browser.shows("#ready").await);
        browser.press("summary").await;
        browser.wait_for("#python").await;
        browser.emulate(1100, 1300, false).await;
        browser.picture("without-scripts").await;
        browser.scripts(true).await;
        assert_eq!(
            world.lines("SELECT state AS line FROM secret_deliveries"),
            ["pending"]
        );
    }
    browser.quit().await;
}
