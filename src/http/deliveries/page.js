
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const place = location.pathname;
  const delivery = place.split("/").pop();
  const utf8 = (text) => new TextEncoder().encode(text);
  const sections = ["ready", "shown", "past", "before", "revoked", "ended", "broken", "unable"];
  const openable = ["ready", "broken", "unable"];
  // Takes the key's place when that has done its work. No key is as short.
  const mark = "#shown";

  const encode = (bytes) =>
    btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const decode = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));

  // Shows one section, and takes a screen reader there.
  const turnTo = (name) => {
    for (const section of sections) at(section).hidden = section !== name;
    for (const more of ["deadline", "terminal"]) at(more).hidden = !openable.includes(name);
    at("trouble").textContent = "";
    at(name + "-title")?.focus();
  };
  const inWords = (time) =>
    new Date(time).toLocaleString("en-GB", { dateStyle: "long", timeStyle: "long" });

  // The key that the link's end carries; it leaves this page for nowhere.
  const linkKey = () => {
    const text = location.hash.slice(1);
    return /^[A-Za-z0-9_-]{43}$/.test(text) ? decode(text) : null;
  };

  // HKDF-SHA-256: the salt is the delivery's id, and each use has a label of its own.
  const derive = async (use) => {
    const key = await crypto.subtle.importKey("raw", linkKey(), "HKDF", false, ["deriveBits"]);
    const label = utf8("onyx-auth secret delivery 1: " + use);
    const how = { name: "HKDF", hash: "SHA-256", salt: utf8(delivery), info: label };
    return new Uint8Array(await crypto.subtle.deriveBits(how, key, 256));
  };

  const post = async (path) => {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ proof: encode(await derive("proof")) }),
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
    return { status: answer.status, body: await answer.json() };
  };

  const unseal = async (text) => {
    const sealed = decode(text);
    const key = await crypto.subtle.importKey("raw", await derive("seal"), "AES-GCM", false, ["decrypt"]);
    const how = { name: "AES-GCM", iv: sealed.slice(0, 12), additionalData: utf8(delivery) };
    const opened = await crypto.subtle.decrypt(how, key, sealed.slice(12));
    return JSON.parse(new TextDecoder().decode(opened));
  };

  const show = async (body) => {
    const letter = await unseal(body.ciphertext);
    at("client-id").textContent = letter.client_id;
    at("secret").textContent = letter.client_secret;
    at("try").textContent =
      "curl -u " + letter.client_id + " -d grant_type=client_credentials " + body.token_endpoint;
    // The key need not stay in the history, and whoever comes back is told that there was one.
    history.replaceState(null, "", place + mark);
    turnTo("shown");
  };

  const open = async () => {
    const { status, body } = await post(place);
    if (status === 200) {
      await show(body);
    } else if (body.code === "delivery_opened") {
      at("opened-at").textContent = inWords(body.opened_at);
      at("opened-at").dateTime = body.opened_at;
      turnTo("before");
    } else if (body.code === "delivery_cancelled" && body.opened_at) {
      turnTo("revoked");
    } else if (status === 410) {
      at("ended-why").textContent =
        body.code === "delivery_expired"
          ? "Nobody opened it in time, so its credential was revoked. Ask for a new one."
          : "Its credential was revoked or replaced before it was opened. Ask for a new one.";
      turnTo("ended");
    } else if (status === 404) {
      turnTo("broken");
    } else {
      throw new Error("refused");
    }
  };

  const revoke = async () => {
    const { status } = await post(place + "/revoke");
    if (status !== 200) throw new Error("refused");
    turnTo("revoked");
  };

  const onClick = (id, work, failed) => {
    at(id).addEventListener("click", async () => {
      at(id).disabled = true;
      at("trouble").textContent = "";
      try {
        await work();
      } catch {
        at("trouble").textContent = failed;
      }
      at(id).disabled = false;
    });
  };
  onClick(
    "open",
    open,
    "That did not work: the server gave no answer that can be used. Try again. If it is then said that the link " +
      "was opened before, the answer was lost: revoke the credential there, and ask for a new one.",
  );
  onClick("revoke", revoke, "The credential could not be revoked. Try again, or tell who sent you this link.");

  const copies = document.querySelectorAll("[data-copy]");
  // The clipboard holds one thing: what was pressed before says "Copied" no more.
  const say = (pressed, word, sentence) => {
    for (const button of copies) button.textContent = button === pressed ? word : "Copy";
    at("said").textContent = sentence;
  };
  for (const button of copies) {
    const value = at(button.dataset.copy);
    const name = value.labels[0].textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(value.textContent);
        say(button, "Copied", name + " copied.");
      } catch {
        getSelection().selectAllChildren(value);
        say(button, "Selected", name + " selected: press Ctrl+C, or copy it as your device does.");
      }
    });
  }

  const start = () => {
    at("until").textContent = inWords(at("until").dateTime);
    if (location.hash === mark) turnTo("past");
    else if (!linkKey()) turnTo("broken");
    else if (!globalThis.crypto?.subtle) turnTo("unable");
    else turnTo("ready");
  };
  // A link that is pasted over this one does not load the page anew.
  addEventListener("hashchange", start);
  start();
})();
