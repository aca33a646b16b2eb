// Makes the pages better where scripts run; every page is complete without this file.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// What only works with a script is hidden until here.
const reveal = () => all("[data-with-script]").forEach((element) => { element.hidden = false; });

// The first page: drop or paste an image anywhere, and it is sent at once.
const receive = (form) => {
  const input = form.querySelector('input[type="file"]');
  const busy = form.querySelector("[data-busy]");
  form.classList.add("scripted");
  const shut = form.querySelector("[data-shut]");
  const send = async () => {
    const name = await unread(input.files); // the browser would leave for a page of its own, and blame the site
    shut.hidden = name === null;
    if (name === null) {
      if (input.files.length) form.requestSubmit();
      return;
    }
    shut.textContent = shut.dataset.words.replace("{name}", () => name);
    input.value = "";
  };
  const take = (files) => {
    if (!files.length) return;
    const transfer = new DataTransfer();
    [...files].forEach((file) => transfer.items.add(file));
    input.files = transfer.files;
    send();
  };
  input.addEventListener("change", send);
  form.addEventListener("submit", () => {
    form.classList.add("busy");
    busy.textContent = busy.dataset.words;
  });
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    form.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) form.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    form.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));
  // Back from the result, the page may come out of the browser's memory as it was left.
  window.addEventListener("pageshow", () => {
    form.classList.remove("busy");
    busy.textContent = "";
    shut.hidden = true;
    input.value = ""; // or the same file, chosen once more, would be no change
  });
};

// The name of the first of the files that cannot be read, such as a folder; null where all can.
const unread = async (files) => {
  for (const file of files) {
    try {
      await file.slice(-1).arrayBuffer();
    } catch {
      return file.name;
    }
  }
  return null;
};

// Keys that are not typed into a field, while a viewer or its list of findings has the focus: elsewhere
// they scroll the page. `find` gives what one does, or nothing.
const onKeys = (find) => document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  if (!event.target.closest(".viewer, .rows")) return;
  if (event.key === " " && event.target.matches("button, a, summary")) return;
  const act = find(event.key);
  if (!act) return;
  event.preventDefault();
  act();
});

// A viewer's picture, enlarged and moved by buttons, wheel, pointer and keys.
const magnify = (root) => {
  const stage = root.querySelector("[data-stage]");
  const canvas = root.querySelector("[data-canvas]");
  const place = { scale: 1, x: 0, y: 0 };
  const draw = () => {
    const { width, height } = stage.getBoundingClientRect();
    const limit = (length) => (length * (place.scale - 1)) / 2;
    place.x = Math.max(-limit(width), Math.min(limit(width), place.x));
    place.y = Math.max(-limit(height), Math.min(limit(height), place.y));
    canvas.style.transform = `translate(${place.x}px, ${place.y}px) scale(${place.scale})`;
    stage.classList.toggle("zoomed", place.scale > 1);
  };
  const zoom = (factor) => {
    const scale = factor ? Math.max(1, Math.min(8, place.scale * factor)) : 1;
    place.x *= scale / place.scale;
    place.y *= scale / place.scale;
    place.scale = scale;
    draw();
  };
  all("[data-zoom]", root).forEach((button) => button.addEventListener("click", () => {
    const way = Number(button.dataset.zoom);
    zoom(way ? 1.4 ** way : 0);
  }));
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && place.scale === 1) return; // the page scrolls until the image is enlarged
    event.preventDefault();
    zoom(1.0015 ** -event.deltaY);
  }, { passive: false });
  stage.addEventListener("dblclick", () => zoom(place.scale > 1 ? 0 : 2));
  stage.addEventListener("pointerdown", (event) => {
    if (place.scale === 1) return;
    stage.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  });
  stage.addEventListener("pointermove", (event) => {
    if (!stage.classList.contains("dragging")) return;
    place.x += event.movementX;
    place.y += event.movementY;
    draw();
  });
  ["pointerup", "pointercancel"].forEach((name) => stage.addEventListener(name, () => stage.classList.remove("dragging")));
  all("img", stage).forEach((image) => { image.draggable = false; });

  const move = (x, y) => { place.x += x; place.y += y; draw(); };
  const arrows = {
    ArrowLeft: () => move(40, 0), ArrowRight: () => move(-40, 0),
    ArrowUp: () => move(0, 40), ArrowDown: () => move(0, -40),
  };
  onKeys((key) => ({
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), f: () => zoom(0),
    ...(place.scale > 1 && arrows),
  })[key]);
};

// The result: maps, opacity, window, keys.
const view = (root) => {
  const scan = root.querySelector("[data-scan]");
  const map = root.querySelector("[data-map]");
  const rows = all("[data-show]", root);
  const opacity = root.querySelector("[data-opacity]");
  const slices = all(".slices a", root);

  const [itself] = rows[0].href.split("?"); // a form that was refused stands elsewhere
  const judgement = root.querySelector("[data-judgement]");
  let here = itself + location.search + location.hash;
  let late = 0;
  const tell = () => {
    clearTimeout(late);
    try {
      history.replaceState(history.state, "", here);
    } catch { // some browsers allow a hundred in ten seconds
      late = setTimeout(tell, 10_000);
    }
  };

  // What was chosen here is chosen for the slice that is opened next, too, and where the page is opened again.
  const keep = (chosen) => {
    const chosenIn = (link) => {
      const address = new URL(link);
      Object.entries(chosen).forEach(([name, value]) => address.searchParams.set(name, value));
      return address.href;
    };
    slices.forEach((slice) => { slice.href = chosenIn(slice.href); });
    if (judgement) judgement.action = chosenIn(judgement.action);
    here = chosenIn(here);
    const { pathname, search } = new URL(here);
    all('[name="back"]').forEach((one) => { one.value = pathname + search; });
    all('a[href^="/sign-in?"]').forEach((one) => { one.search = new URLSearchParams({ back: pathname + search }); });
    tell();
  };

  const choose = (row) => {
    keep({ map: row ? row.dataset.show : "none" });
    rows.forEach((one) => {
      if (one === row) one.setAttribute("aria-current", "true");
      else one.removeAttribute("aria-current");
    });
    map.hidden = !row;
    if (row) {
      map.src = row.dataset.src;
      map.alt = row.dataset.alt;
    }
  };
  rows.forEach((row) => row.addEventListener("click", (event) => {
    event.preventDefault();
    choose(row.getAttribute("aria-current") ? null : row);
  }));
  const fade = () => { map.style.opacity = opacity.value / 100; };
  opacity.addEventListener("input", fade);
  fade();

  magnify(root);

  const windows = root.querySelector("[data-window]");
  if (windows) setWindow(windows, scan, keep);

  const step = (way) => {
    const here = slices.findIndex((slice) => slice.getAttribute("aria-current"));
    const next = slices[here + way];
    if (!next) return;
    next.hash = "stage"; // the image keeps the focus on the next page
    next.click();
  };
  const keys = {
    0: () => choose(null),
    " ": () => { map.hidden = !map.hidden || !rows.some((row) => row.getAttribute("aria-current")); },
    ...(slices.length > 1 && { PageUp: () => step(-1), PageDown: () => step(1) }),
  };
  onKeys((key) => keys[key] ?? (rows[key - 1] && (() => choose(rows[key - 1]))));
};

// Level and width: the server draws the image anew, as only it has the values in HU.
const setWindow = (bar, scan, keep) => {
  const inputs = { level: bar.querySelector("[data-level-input]"), width: bar.querySelector("[data-width-input]") };
  const shown = { level: bar.querySelector("[data-level-output]"), width: bar.querySelector("[data-width-output]") };
  const chips = all("[data-level]", bar);
  let waiting = 0;
  const show = () => {
    shown.level.textContent = inputs.level.value;
    shown.width.textContent = inputs.width.value;
    chips.forEach((chip) => {
      const same = chip.dataset.level === inputs.level.value && chip.dataset.width === inputs.width.value;
      if (same) chip.setAttribute("aria-current", "true");
      else chip.removeAttribute("aria-current");
    });
    keep({ level: inputs.level.value, width: inputs.width.value });
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      scan.src = `${bar.dataset.address}?level=${inputs.level.value}&width=${inputs.width.value}`;
    }, 120);
  };
  Object.values(inputs).forEach((input) => input.addEventListener("input", show));
  chips.forEach((chip) => chip.addEventListener("click", (event) => {
    event.preventDefault();
    inputs.level.value = chip.dataset.level;
    inputs.width.value = chip.dataset.width;
    show();
  }));
};

// Contribute: while a report is written, the server proposes lesions; what a person chose stays.
const suggest = (form) => {
  const text = form.querySelector("[data-report-text]");
  const place = form.querySelector("[data-proposal]");
  const choices = all("[data-lesion]", form);
  choices.forEach((choice) => choice.addEventListener("change", () => { choice.dataset.chosen = "1"; }));
  const proposed = () => all("[data-proposed]", place);
  choices.forEach((choice, index) => { // a form that was refused comes back with what was chosen
    if (choice.value !== (proposed()[index]?.value ?? "")) choice.dataset.chosen = "1";
  });
  let waiting = 0;
  let latest = 0;
  const ask = async () => { // whether the server answered
    const number = ++latest;
    const body = new FormData();
    body.set("csrf", form.querySelector('[name="csrf"]').value);
    body.set("report", text.value);
    body.set("part", "1");
    const answer = await fetch("/contribute/report", { method: "POST", body }).catch(() => null);
    if (!answer) place.textContent = place.dataset.wordsLost; // to send the form would lose what was typed
    if (!answer?.ok || number !== latest) return !answer || answer.ok;
    place.innerHTML = await answer.text();
    proposed().forEach((one, index) => {
      if (!choices[index].dataset.chosen) choices[index].value = one.value;
    });
    return true;
  };
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 350);
  });
  const button = form.querySelector("[data-report-button]");
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    if (!(await ask())) form.requestSubmit(button); // its page tells what is wrong
  });
};

// Theme and language change where one is, so that what was typed, chosen or attached stays.
const prefer = () => {
  let saving = null; // a theme that the next page is to have
  document.addEventListener("submit", async (event) => { // of the document, for the head may be replaced
    const form = event.target;
    if (!form.matches("[data-prefer]")) return;
    const button = event.submitter;
    const inPlace = button.name === "theme" || form.target || begun() || spoken().length > 0;
    if (!inPlace && !saving) return;
    event.preventDefault();
    const body = new FormData(form);
    body.set(button.name, button.value);
    if (button.name === "theme") {
      paint(form, button.value);
      // kept alive, because who goes on at once would take it back
      saving = fetch(form.action, { method: "POST", body, redirect: "manual", keepalive: true }).catch(() => {});
      return;
    }
    await saving;
    saving = null;
    if (inPlace) translate(form.action, body);
    else setTimeout(() => form.requestSubmit(button)); // not within the event of the first time
  });
};

const paint = (form, theme) => {
  document.documentElement.dataset.theme = theme;
  document.querySelector('meta[name="color-scheme"]').content = theme;
  all('[name="theme"]', form).find((button) => button.value !== theme).focus();
};

// What only this page tells, being the answer to a form: it holds the words in every language.
const spoken = (language = document.documentElement.lang) => all(`[data-in-${language}]`);

// Whether anything on the page is other than it came, or is on its way.
const begun = () => all("[data-sending-bar]").some((bar) => bar.offsetParent) || all("main input, main textarea, main select").some((field) => {
  if (field.type === "file") return field.files.length > 0;
  if (field.matches("select")) return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
  if (field.matches('[type="checkbox"], [type="radio"]')) return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
});

// The page in another language is fetched for its words alone.
const translate = async (address, body) => {
  const answer = await fetch(address, { method: "POST", body }).catch(() => null);
  const fresh = new DOMParser().parseFromString((await answer?.text()) ?? "", "text/html");
  const { lang } = fresh.documentElement;
  if (!fresh.querySelector("[data-prefer]") || lang === document.documentElement.lang) return; // nothing is lost
  // An answer to a form is of no address: what is found there is another page, of which the head alone is the same.
  if (document.querySelector("[data-answer]")) all("title, main", fresh).forEach((part) => part.remove());
  else if (fresh.querySelector("[data-answer]")) return; // the session is over: sending the form tells so
  retell(document.documentElement, fresh.documentElement);
  all("[data-show][aria-current]").forEach((row) => { document.querySelector("[data-map]").alt = row.dataset.alt; });
  spoken(lang).forEach((element) => { element.textContent = element.getAttribute(`data-in-${lang}`); });
  all("[data-report-text]").forEach((text) => { if (text.value) text.dispatchEvent(new Event("input")); });
};

const retell = (old, fresh) => {
  const told = [...fresh.attributes].filter(({ name }) => /^(lang|title|alt|content|aria-label|data-words(-\w+)?|data-done|data-alt)$/.test(name));
  told.forEach(({ name, value }) => old.setAttribute(name, value));
  if (old.matches("button")) old.value = fresh.value;
  const words = (element) => [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const [said, meant] = [words(old), words(fresh)];
  if (said.length === meant.length && !old.matches("textarea, output")) said.forEach((node, place) => { node.data = meant[place].data; });
  const kind = (element) => (element.matches("form") ? new URL(element.getAttribute("action") ?? "", location).pathname : [element.tagName, element.className, element.name, ...ways(element)].join(" "));
  const rest = [...old.children];
  [...fresh.children].forEach((child) => {
    const place = rest.findIndex((one) => kind(one) === kind(child));
    if (place >= 0) retell(rest.splice(0, place + 1).pop(), child);
  });
};

// Where a row's links and forms lead: one that came or went meanwhile must not lend its words to another.
const ways = (row) => (row.matches("tr, li") ? all(LEADING, row) : [row].filter((one) => one.matches("a[href]"))).map((one) =>
  new URL(one.getAttribute("href") ?? one.getAttribute("action") ?? one.getAttribute("formaction"), location).pathname);
const LEADING = "[href], [action], [formaction]";

const copy = (button) => button.addEventListener("click", async () => {
  const link = document.querySelector("[data-link]");
  link.select();
  try {
    await navigator.clipboard.writeText(link.value);
    button.textContent = button.dataset.done;
  } catch { /* without HTTPS there is no clipboard: the link is selected, ready to be copied */ }
});

document.addEventListener("DOMContentLoaded", () => {
  reveal();
  all("[data-drop]").forEach(receive);
  all("[data-viewer]").forEach(view);
  all("[data-magnify]").forEach(magnify);
  all("[data-copy]").forEach(copy);
  all("[data-report]").forEach(suggest);
  prefer();
});
