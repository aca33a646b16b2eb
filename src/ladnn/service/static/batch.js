// Batches: files are sent a few at a time, again after a lost connection, and the page keeps itself new.
"use strict";

const AT_ONCE = 3; // requests under way
const LOOK = 1500; // milliseconds between looks at how far the batch is
const PASSING = [429, 502, 503, 504];

const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
const fill = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const token = () => document.querySelector('input[name="csrf"]').value;

// A request that is made again until the site answers; `lost` is told whether it does. Nothing comes of
// one whose body is not `whole` any more: it would fail for ever.
const ask = async (address, options, lost = () => {}, whole = async () => true) => {
  for (let wait = 1000; ; wait = Math.min(wait * 2, 10000)) {
    try {
      const answer = await fetch(address, { ...options, headers: { ...options.headers, "x-csrf-token": token() } });
      if (!PASSING.includes(answer.status)) {
        lost(false);
        return answer;
      }
      if (answer.status !== 429) lost(true);
      await pause(1000 * (Number(answer.headers.get("retry-after")) || 0) || wait);
    } catch {
      if (!(await whole())) {
        lost(false);
        return null;
      }
      lost(true);
      await pause(wait);
    }
  }
};

const detail = async (answer) => {
  try {
    return (await answer.json()).detail;
  } catch {
    return String(answer.status);
  }
};

// All files of what was dropped, those in folders too, and the paths of what cannot be opened.
const filesOf = async (transfer) => {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = { files: [], shut: [] };
  if (!entries.some((entry) => entry.isDirectory)) return { ...found, files: [...transfer.files] };
  const open = async (entry) => {
    if (entry.isFile) {
      found.files.push(await new Promise((done, failed) => { entry.file(done, failed); }));
      return;
    }
    const reader = entry.createReader();
    for (;;) { // a reader gives a hundred at a time
      const some = await new Promise((done, failed) => { reader.readEntries(done, failed); });
      if (!some.length) return;
      await walk(some);
    }
  };
  const walk = async (some) => {
    for (const entry of some.filter(({ name }) => !name.startsWith("."))) {
      await open(entry).catch(() => found.shut.push(entry.fullPath.slice(1)));
    }
  };
  await walk(entries);
  return found;
};

// What `read` makes of each file; one that cannot be read, or not any more, is told and left out.
const readEach = async (files, read, unread) => {
  const found = new Map();
  for (const file of files) {
    try {
      found.set(file, await read(file));
    } catch {
      unread(file);
    }
  }
  return found;
};

const lastByte = (file) => file.slice(-1).arrayBuffer();

const hashOf = async (file) => {
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
};

const isDicom = async (file) => {
  const head = new Uint8Array(await file.slice(128, 132).arrayBuffer());
  return String.fromCharCode(...head) === "DICM";
};

// What to send, each a list of requests that follow one another: slices of series together, in as few
// requests as may be, and all else alone.
const bundle = async (files, limit, unread) => {
  const alone = [];
  const slices = [];
  let size = limit;
  for (const [file, dicom] of await readEach(files, isDicom, unread)) {
    if (!dicom) {
      alone.push([[file]]);
      continue;
    }
    if (size + file.size > limit) {
      slices.push([]);
      size = 0;
    }
    slices.at(-1).push(file);
    size += file.size + 1024;
  }
  return slices.length ? [slices, ...alone] : alone;
};

// Which files the batch does not have yet; without HTTPS a browser cannot hash, and all are sent.
const absent = async (address, files, lost, unread) => {
  if (!crypto.subtle) return files;
  const hashes = await readEach(files, hashOf, unread);
  const wanted = new Set();
  const all = [...hashes.values()];
  for (let from = 0; from < all.length; from += 1000) {
    const body = JSON.stringify({ sha256: all.slice(from, from + 1000) });
    const answer = await ask(`${address}/missing`, { method: "POST", body, headers: { "content-type": "application/json" } }, lost);
    if (!answer.ok) return [...hashes.keys()];
    (await answer.json()).sha256.forEach((hash) => wanted.add(hash));
  }
  return [...hashes.keys()].filter((file) => wanted.delete(hashes.get(file)));
};

// What is shown while files are sent.
const teller = () => {
  const box = document.querySelector("[data-sending]");
  const words = box.querySelector("[data-sending-words]");
  const bar = box.querySelector("[data-sending-bar]");
  let shown = "";
  box.hidden = false;
  const say = (text) => {
    shown = text;
    words.textContent = text;
  };
  return {
    checking: () => say(box.dataset.wordsChecking),
    sent: (done, total, left) => {
      bar.max = total || 1;
      bar.value = total - left;
      bar.hidden = !left;
      const ended = done < total ? box.dataset.wordsPartly : box.dataset.wordsSent;
      say(fill(left ? box.dataset.wordsSending : ended, { done, total }));
    },
    lost: (is) => {
      box.classList.toggle("lost", is);
      words.textContent = is ? box.dataset.wordsLost : shown;
    },
    unsent: (name, why) => {
      const line = document.createElement("li");
      line.textContent = fill(box.dataset.wordsUnsent, { name, why });
      box.querySelector("[data-unsent]").append(line);
    },
    large: box.dataset.wordsLarge,
    unread: box.dataset.wordsUnread,
  };
};

// The page of the batch in place of this one, without letting go of the files that are being sent.
const turnInto = async (path) => {
  const answer = await ask(path, {});
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  ["header", "main"].forEach((part) => document.querySelector(part).replaceWith(page.querySelector(part)));
  document.title = page.title;
  history.replaceState(null, "", path);
  start();
};

let sending = 0;
let wake = () => {}; // looks at once how far the batch is
const woken = () => new Promise((done) => { wake = done; });

// `shut` are the paths of what was given with the files and could not be opened.
const send = async (form, files, shut = []) => {
  if (!files.length && !shut.length) return;
  sending += 1;
  wake();
  try {
    await sendAll(form, files, shut);
  } finally {
    sending -= 1;
  }
};

const sendAll = async (form, files, shut) => {
  let id = form.dataset.batch;
  let say = teller();
  if (!id && files.length) {
    const made = await ask("/api/v1/batches", { method: "POST" }, say.lost);
    if (!made.ok) {
      say.unsent(files[0].name, await detail(made));
      return;
    }
    id = (await made.json()).id;
    await turnInto(`/batches/${id}`);
    say = teller();
  }
  const total = files.length + shut.length;
  shut.forEach((path) => say.unsent(path, say.unread));
  const address = `/api/v1/batches/${id}`;
  const limit = Number(form.dataset.limit) * 2 ** 20;
  const small = files.filter((file) => file.size < limit);
  files.filter((file) => file.size >= limit).forEach((file) => say.unsent(file.name, say.large));
  say.checking();
  let unsent = 0;
  const unread = (file) => {
    unsent += 1;
    say.unsent(file.name, say.unread);
  };
  const wanted = await absent(address, small, say.lost, unread);
  let done = small.length - wanted.length - unsent;
  const parcels = await bundle(wanted, limit - 4096, unread);
  let left = parcels.flat(2).length;
  let refused = false;
  say.sent(done, total, left);
  const post = async (some, more) => {
    const body = new FormData();
    some.forEach((file) => body.append("file", file, file.name));
    const whole = async () => (await readEach(some, lastByte, () => {})).size === some.length;
    const answer = await ask(`${address}/items${more ? "?more=true" : ""}`, { method: "POST", body }, say.lost, whole);
    if (!answer) { // the others are sent without what changed or went meanwhile
      const rest = [...(await readEach(some, lastByte, unread)).keys()];
      left -= some.length - rest.length;
      say.sent(done, total, left);
      if (rest.length) await post(rest, more);
      return;
    }
    const told = refused;
    refused = refused || [401, 403, 404].includes(answer.status); // told once: no other file fares better
    if (answer.ok) done += some.length;
    else if (!told) say.unsent(some[0].name, await detail(answer));
    left -= some.length;
    say.sent(done, total, left);
  };
  const work = async () => {
    for (let parcel = parcels.shift(); parcel && !refused; parcel = parcels.shift()) {
      while (parcel.length && !refused) await post(parcel.shift(), parcel.length > 0);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
};

const receiveBatch = (form) => {
  const input = form.querySelector('input[type="file"]');
  form.classList.add("scripted");
  input.addEventListener("change", () => {
    send(form, [...input.files]);
    input.value = "";
  });
  form.addEventListener("submit", (event) => event.preventDefault());
};

// The newest state: counts are asked for, and the page is read again when they changed. Once nothing
// can change any more nothing is asked: a page that was left open would keep a session alive.
let watch = 0;
const follow = async (root) => {
  const mine = ++watch;
  let before = "";
  for (let ended = false; ; ended ? await woken() : await Promise.race([pause(LOOK), woken()])) {
    const busy = sending;
    const answer = await ask(root.dataset.progress, {});
    if (mine !== watch) return;
    if (answer.ok) {
      const now = await answer.json();
      const state = JSON.stringify([now.total, now.arriving, now.waiting, now.done, now.failed, now.cancelled]);
      if (before && state !== before) await renew(root);
      before = state;
      ended = now.finished && !busy && !sending;
    } else if ([401, 404].includes(answer.status) && !sending) {
      location.reload(); // the page says that the session is over, or that the batch was deleted
      return;
    } else if (answer.status === 401) return;
  }
};

// A part of the page with its newest content; what has the focus keeps it.
const put = (part, content) => {
  const mark = (element) => element.getAttribute("href") ?? element.getAttribute("aria-labelledby") ?? element.textContent;
  const held = part.contains(document.activeElement) && mark(document.activeElement);
  part.innerHTML = content;
  if (held === false) return;
  const same = [...part.querySelectorAll("a, button, [tabindex]")].find((element) => mark(element) === held);
  same?.focus({ preventScroll: true });
};

const renew = async (root) => {
  const answer = await ask(location.href, {});
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  root.querySelectorAll("[data-live]").forEach((part) => {
    const other = page.querySelector(`[data-live="${part.dataset.live}"]`);
    if (other) put(part, other.innerHTML);
  });
};

const start = () => {
  document.querySelectorAll("[data-with-script]").forEach((element) => { element.hidden = false; });
  document.querySelectorAll("form[data-batch]").forEach(receiveBatch);
  const root = document.querySelector("[data-progress]");
  if (!root) return;
  follow(root);
  root.querySelector('form[action$="/delete"]')?.addEventListener("submit", () => {
    if (!sending) watch += 1; // a look that finds nothing must not come before the page that follows
  });
};

document.addEventListener("DOMContentLoaded", () => {
  start();
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const form = () => document.querySelector("form[data-batch]");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    form().classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form().classList.remove("over");
  });
  document.addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    form().classList.remove("over");
    const { files, shut } = await filesOf(event.dataTransfer);
    send(form(), files, shut);
  });
  document.addEventListener("visibilitychange", () => wake());
  window.addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });
});
