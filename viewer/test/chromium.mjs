// Drives a headless Chromium over the DevTools protocol on a pipe: no port, no dependency.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1440,900", "--remote-debugging-pipe",
];

/** The browser's path, or null when there is none. SONDAGE_CHROMIUM names another one. */
export function findChromium() {
  const named = process.env.SONDAGE_CHROMIUM;
  return (named ? [named] : CANDIDATES).find((path) => existsSync(path)) ?? null;
}

/** A running browser. Call close() when done. */
export class Browser {
  constructor(path) {
    this.home = mkdtempSync(join(tmpdir(), "sondage-chromium-"));
    const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"];
    this.process = spawn(path, [...FLAGS, `--user-data-dir=${this.home}`, "about:blank"], { stdio });
    this.gone = new Promise((resolve) => this.process.once("exit", resolve));
    this.pending = new Map();
    this.listeners = [];
    this.tabs = new Set();
    this.nextId = 1;
    let buffer = Buffer.alloc(0);
    this.process.stdio[4].on("data", (chunk) => {
      buffer = Buffer.concat([buffer, chunk]);
      for (let end = buffer.indexOf(0); end >= 0; end = buffer.indexOf(0)) {
        this.receive(JSON.parse(buffer.subarray(0, end).toString("utf8")));
        buffer = buffer.subarray(end + 1);
      }
    });
    this.gone.then(() => {
      for (const { reject } of this.pending.values()) reject(new Error("the browser exited"));
    });
  }

  receive(message) {
    const waiting = this.pending.get(message.id);
    if (waiting) {
      this.pending.delete(message.id);
      if (message.error) waiting.reject(new Error(message.error.message));
      else waiting.resolve(message.result);
    } else {
      for (const listener of this.listeners) listener(message);
    }
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.nextId++;
    this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return new Promise((resolve, reject) => this.pending.set(id, { resolve, reject }));
  }

  /** Opens a tab on a URL and waits until its page is drawn. */
  async open(url, media = {}) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, targetId, sessionId);
    this.tabs.add(tab);
    await tab.prepare(media);
    await tab.go(url);
    return tab;
  }

  async close() {
    await this.send("Browser.close").catch(() => this.process.kill("SIGKILL"));
    await this.gone;
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** One tab. `complaints` collects console errors, exceptions and policy violations; `requests` URLs. */
export class Tab {
  constructor(browser, targetId, sessionId) {
    Object.assign(this, { browser, targetId, sessionId, complaints: [], requests: [], dialogs: [], loads: 0 });
    browser.listeners.push((message) => message.sessionId === sessionId && this.notice(message));
  }

  notice({ method, params }) {
    if (method === "Runtime.exceptionThrown") this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Log.entryAdded" && params.entry.level === "error") this.complaints.push(params.entry.text);
    if (method === "Runtime.consoleAPICalled" && params.type === "error") this.complaints.push(JSON.stringify(params.args));
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Page.javascriptDialogOpening") this.dialogs.push(params.message);
    if (method === "Page.loadEventFired") this.loads += 1;
  }

  send(method, params) {
    return this.browser.send(method, params, this.sessionId);
  }

  /** Motion is reduced unless `media` says otherwise, so that nothing has to be waited for. */
  async prepare(media) {
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await this.send(domain + ".enable");
    const features = Object.entries({ "prefers-reduced-motion": "reduce", ...media }).map(([name, value]) => ({ name, value }));
    await this.send("Emulation.setEmulatedMedia", { features });
    const watch = "window.violations = []; document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI));";
    await this.send("Page.addScriptToEvaluateOnNewDocument", { source: watch });
  }

  async go(url) {
    const before = this.loads;
    await this.send("Page.navigate", { url });
    await this.until(async () => this.loads > before, "the page to load");
    // Packed data is there a moment after the load event.
    const shown = "document.getElementById('profile') === null || !document.getElementById('page').hidden || !document.getElementById('failure').hidden";
    await this.until(() => this.evaluate(shown), "the profile to be shown");
    await this.settle();
  }

  /** Waits until painting that was asked for is done. */
  async settle() {
    // Only the tab in front gets animation frames.
    await this.send("Page.bringToFront");
    return this.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))");
  }

  async until(condition, what) {
    for (const began = Date.now(); Date.now() - began < 20_000; ) {
      if (await condition()) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`gave up waiting for ${what}`);
  }

  async evaluate(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async click(x, y) {
    await this.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    for (const type of ["mousePressed", "mouseReleased"]) await this.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
    await this.settle();
  }

  /** Presses a key by its DOM name; single characters are typed. `modifiers` 8 is Shift. */
  async press(key, modifiers = 0) {
    await this.key(key, modifiers);
    await this.settle();
  }

  /** A key press that is not waited for. */
  async key(key, modifiers = 0) {
    const codes = { Enter: 13, Escape: 27, ArrowUp: 38, ArrowDown: 40, ArrowLeft: 37, ArrowRight: 39, Home: 36, End: 35, Tab: 9 };
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", modifiers, key, text, windowsVirtualKeyCode: codes[key] });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", modifiers, key, windowsVirtualKeyCode: codes[key] });
  }

  async type(text) {
    await this.send("Input.insertText", { text });
    await this.settle();
  }

  async close() {
    await this.browser.send("Target.closeTarget", { targetId: this.targetId });
    this.browser.tabs.delete(this);
  }

  /** A PNG of the window. */
  async screenshot() {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }
}
