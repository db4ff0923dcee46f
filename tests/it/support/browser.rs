//! A real browser: Chromium, driven through chromedriver (W3C WebDriver).

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::world::free_address;

/// How an answer names an element (WebDriver §12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window and a profile of its own.
pub struct Browser {
    driver: Child,
    http: reqwest::Client,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser without a screen.
    pub async fn start() -> Self {
        let address = free_address();
        let port = address.rsplit(':').next().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            // What the browser keeps goes where it is thrown away.
            .env("HOME", profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: apt-get install chromium chromium-driver");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser = Self {
            driver,
            http,
            session: format!("http://{address}"),
            _profile: profile,
        };
        browser
            .until("the driver is ready", async |b: &Browser| {
                b.try_call(Method::GET, "/status", &Value::Null)
                    .await
                    .is_ok()
            })
            .await;
        let arguments = [
            "--headless=new",
            // A container's root has no sandbox to give.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-proxy-server",
            "--window-size=1100,900",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": arguments },
        } } });
        let made = browser.call(Method::POST, "/session", &wanted).await;
        let id = made["sessionId"].as_str().unwrap();
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    async fn try_call(&self, method: Method, path: &str, body: &Value) -> Result<Value, String> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.session))
            .timeout(Duration::from_secs(60));
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let good = answer.status().is_success();
        let mut body: Value = answer.json().await.map_err(|error| error.to_string())?;
        let value = body["value"].take();
        if good {
            Ok(value)
        } else {
            Err(value.to_string())
        }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let done = self.try_call(method.clone(), path, body).await;
        done.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    async fn until(&self, what: &str, done: impl AsyncFn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done(self).await {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Goes to a page.
    pub async fn go(&self, url: &str) {
        self.call(Method::POST, "/url", &json!({ "url": url }))
            .await;
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        let url = self.call(Method::GET, "/url", &Value::Null).await;
        url.as_str().unwrap().to_owned()
    }

    async fn try_element(&self, css: &str) -> Result<String, String> {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.try_call(Method::POST, "/element", &wanted).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    async fn element(&self, css: &str) -> String {
        let found = self.try_element(css).await;
        found.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    /// Presses what the selector names, as a person would: it must be in sight.
    pub async fn press(&self, css: &str) {
        self.wait_for(css).await;
        let element = self.element(css).await;
        self.call(
            Method::POST,
            &format!("/element/{element}/click"),
            &json!({}),
        )
        .await;
    }

    /// Waits until what the selector names is shown.
    pub async fn wait_for(&self, css: &str) {
        self.until(&format!("{css} is shown"), async |b: &Self| {
            b.shows(css).await
        })
        .await;
    }

    /// Whether what the selector names is shown.
    pub async fn shows(&self, css: &str) -> bool {
        // What a page has yet to make is not shown, and what it makes anew may go in between.
        let Ok(element) = self.try_element(css).await else {
            return false;
        };
        let path = format!("/element/{element}/displayed");
        self.try_call(Method::GET, &path, &Value::Null).await == Ok(json!(true))
    }

    /// The text as a person sees it.
    pub async fn text(&self, css: &str) -> String {
        let element = self.element(css).await;
        let path = format!("/element/{element}/text");
        let text = self.call(Method::GET, &path, &Value::Null).await;
        text.as_str().unwrap().to_owned()
    }

    /// What a script in the page answers.
    pub async fn ask(&self, script: &str) -> Value {
        let body = json!({ "script": script, "args": [] });
        self.call(Method::POST, "/execute/sync", &body).await
    }

    /// What the browser complained of since it was last asked.
    pub async fn complaints(&self) -> Vec<String> {
        let body = json!({ "type": "browser" });
        let lines = self.call(Method::POST, "/se/log", &body).await;
        let lines = lines.as_array().unwrap().iter();
        lines.map(|line| line["message"].to_string()).collect()
    }

    /// Keeps a picture of the window in the folder that `ONYX_TEST_PICTURES` names, if any.
    pub async fn picture(&self, name: &str) {
        use base64::Engine as _;
        let Some(folder) = std::env::var_os("ONYX_TEST_PICTURES") else {
            return;
        };
        let shown = self.call(Method::GET, "/screenshot", &Value::Null).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(shown.as_str().unwrap());
        let file = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(file, bytes.unwrap()).unwrap();
    }

    /// What the browser tells pages of its window and of its user's taste.
    pub async fn emulate(&self, width: u32, height: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        for (command, parameters) in [
            (
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
            ),
            (
                "Emulation.setEmulatedMedia",
                json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
            ),
        ] {
            self.devtools(command, parameters).await;
        }
    }

    /// Lets scripts run, or not, from the next page on.
    pub async fn scripts(&self, run: bool) {
        let off = json!({ "value": !run });
        self.devtools("Emulation.setScriptExecutionDisabled", off)
            .await;
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.call(Method::POST, "/goog/cdp/execute", &body).await;
    }

    /// Ends the browser.
    pub async fn quit(self) {
        self.call(Method::DELETE, "", &Value::Null).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
