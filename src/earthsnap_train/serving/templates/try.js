"use strict";
const at = id => document.getElementById(id);
const percent = share => share > 0.995 && share < 1 ? "> 99 %" : share > 0 && share < 0.01 ? "< 1 %" : Math.round(100 * share) + " %";
let photographs = [];
let asked = 0;
let requestId = null;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function add(files) {
  const given = Array.from(files);
  if (!given.length) return;
  photographs = photographs.concat(given);
  draw();
  ask();
}

function draw() {
  for (const image of at("shown").querySelectorAll("img")) URL.revokeObjectURL(image.src);
  at("shown").replaceChildren(...photographs.map(file => {
    const figure = element("figure");
    const image = element("img");
    image.alt = file.name;
    image.src = URL.createObjectURL(file);
    image.onerror = () => figure.replaceChildren(element("figcaption", "", file.name));
    figure.append(image);
    return figure;
  }));
  at("again").hidden = !photographs.length;
  at("choose").textContent = photographs.length ? "Add another of this plant" : "Choose photographs";
  at("choose").classList.toggle("quiet", photographs.length > 0);
  at("two").classList.toggle("answered", photographs.length > 0);
}

async function base64(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 32768));
  return btoa(text);
}

async function ask() {
  const turn = ++asked;
  at("problem").hidden = at("answer").hidden = true;
  at("busy").hidden = false;
  try {
    const one = photographs.length === 1;
    const body = one ? photographs[0] : JSON.stringify({photographs: await Promise.all(photographs.map(base64))});
    const type = one ? "application/octet-stream" : "application/json";
    const response = await fetch("v1/identify", {method: "POST", body, headers: {"Content-Type": type}});
    const said = await response.json();
    if (turn !== asked) return;
    if (response.ok) show(said); else refuse(said.error);
  } catch {
    if (turn === asked) refuse({code: "", message: "The server could not be reached. Is this device online?"});
  } finally {
    if (turn === asked) at("busy").hidden = true;
  }
}

const WHY = {
  not_an_image: "This file is no photograph.",
  empty_file: "This file is empty.",
  unsupported_format: "This kind of file is not read here: JPEG, PNG, WebP and HEIC are.",
  too_many_pixels: "This photograph has too many pixels.",
  truncated: "This photograph is cut short; perhaps it was not copied whole.",
  undecodable: "This photograph is damaged.",
  body_too_large: "This is too large a file.",
  busy: "Too many people ask at once. Try again in a moment.",
  too_late: "The answer took too long. Try again in a moment.",
  too_many_photographs: "These are too many photographs at once.",
};

function refuse(error) {
  at("problem").textContent = WHY[error.code] ? WHY[error.code] + " (" + error.message + ")" : error.message;
  at("problem").hidden = false;
  photographs = photographs.slice(0, -1);  // the others are still there to go on with
  draw();
}

function named(taxon) {
  const who = element("span", "who");
  if (taxon.common_name) who.append(taxon.common_name, " ");
  who.append(element("i", "name", taxon.scientific_name || taxon.name));
  return who;
}

function row(rank, who, share, className) {
  const line = element("li", className);
  const bar = element("span", "bar");
  const fill = element("span");
  fill.style.width = 100 * share + "%";
  bar.append(fill);
  line.append(element("span", "rank", rank), who, element("span", "share", percent(share)), bar);
  return line;
}

function show(said) {
  requestId = said.request_id;
  const {answer, reason, lineage} = said;
  const end = lineage[lineage.length - 1];
  if (reason === "not_recognised") {
    at("verdict").textContent = "Not recognised";
    at("sure").textContent = "Nothing is likely enough to be named. At most it might be what follows.";
  } else if (reason === "rolled_up") {
    at("verdict").replaceChildren(answer.rank + " ", element("i", "name", answer.name));
    at("sure").textContent = "That much is likely: " + percent(answer.probability) + ". Which species it is, is not certain.";
  } else {
    at("verdict").replaceChildren(answer.common_name || "", answer.common_name ? element("br") : "", element("i", "name", answer.scientific_name));
    at("sure").textContent = percent(answer.probability) + " likely";
  }
  const depth = lineage.findIndex(taxon => taxon.rank === answer.rank);
  at("lineage").replaceChildren(...lineage.map((taxon, i) =>
    row(taxon.rank, named(taxon), taxon.probability, i === depth ? "said" : i > depth ? "beyond" : "")));
  at("group").textContent = "Group " + said.group.name + ", " + percent(said.group.probability);
  const others = said.species.filter(one => reason !== "certain" || one.species_id !== end.name).filter(one => one.probability >= 0.005);
  at("others-title").textContent = reason === "certain" ? "Less likely" : "It might be";
  at("others").replaceChildren(...others.map(one => row("", named(one), one.probability, "")));
  at("others-part").hidden = !others.length;
  at("thanks").textContent = "";
  at("species").value = "";
  at("answer").hidden = false;
}

at("feedback").addEventListener("submit", async event => {
  event.preventDefault();
  const written = at("species").value.trim();
  const same = name => name.toLowerCase() === written.toLowerCase();
  const known = Array.from(at("known").options).find(one => [one.value, one.dataset.common, one.dataset.scientific].some(same));
  at("thanks").textContent = "";
  try {
    const body = JSON.stringify({request_id: requestId, species_id: known ? known.dataset.id : written});
    const response = await fetch("v1/feedback", {method: "POST", body, headers: {"Content-Type": "application/json"}});
    at("thanks").textContent = response.ok ? "Thank you, it was noted." : (await response.json()).error.message;
  } catch {
    at("thanks").textContent = "The server could not be reached.";
  }
});

for (const id of ["files", "camera"]) at(id).addEventListener("change", event => { add(event.target.files); event.target.value = ""; });
at("again").addEventListener("click", () => {
  asked++;
  photographs = [];
  at("problem").hidden = at("answer").hidden = at("busy").hidden = true;
  draw();
  at("files").focus();
});
for (const name of ["dragenter", "dragover"]) document.addEventListener(name, event => { event.preventDefault(); at("drop").classList.add("over"); });
for (const name of ["dragleave", "drop"]) document.addEventListener(name, event => { event.preventDefault(); at("drop").classList.remove("over"); });
document.addEventListener("drop", event => add(event.dataTransfer.files));
document.addEventListener("paste", event => { if (event.clipboardData.files.length) add(event.clipboardData.files); });
