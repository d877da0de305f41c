// Aids on the page for a new entry: all of them fill fields that can be typed in as well.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const aids = document.getElementById("entry-aids");
  if (!aids) return;
  const $ = django.jQuery;
  const prefix = "scheduled_procedure_steps";
  let procedureStation = null;

  const field = (name) => document.getElementById(`id_${name}`);

  async function fetched(url, parameters) {
    const answer = await fetch(parameters ? `${url}?${parameters}` : url, { credentials: "same-origin" });
    return answer.ok ? answer : null;
  }

  /** Puts a value where nobody typed one: an earlier value of ours may be replaced. */
  function fill(input, value) {
    if (!input || (input.value && input.value !== input.dataset.filled)) return;
    input.value = value;
    input.dataset.filled = value;
  }

  function pick(select, id, text) {
    if (!select) return;
    if (![...select.options].some((option) => option.value === String(id))) {
      select.add(new Option(text, id, true, true));
    }
    for (const option of select.options) if (option.value === String(id)) option.selected = true;
    $(select).trigger("change");
  }

  function steps() {
    return [...document.querySelectorAll(`[id^="id_${prefix}-"][id$="-scheduled_time"]`)]
      .map((time) => time.id.slice(3, -"scheduled_time".length))
      .filter((step) => !step.includes("__prefix__"));
  }

  // Answers may come in another order than they were asked for: only the last one asked for is shown.
  const asked = {};

  async function showSlots(step) {
    const turn = (asked[step] || 0) + 1;
    asked[step] = turn;
    const time = field(`${step}scheduled_time`);
    const stations = field(`${step}stations`);
    const parameters = new URLSearchParams({
      date: field(`${step}scheduled_date`)?.value || "",
      modality: field(`${step}modality`)?.value || "",
      procedure: field("procedure")?.value || "",
    });
    for (const option of stations ? stations.selectedOptions : []) parameters.append("station", option.value);
    const answer = await fetched(aids.dataset.slotsUrl, parameters);
    const text = answer ? await answer.text() : "";
    if (turn !== asked[step]) return;
    let place = document.getElementById(`slots-${step}`);
    if (!place) {
      place = document.createElement("div");
      place.id = `slots-${step}`;
      place.className = "g-page";
      // Below the line that holds date and time.
      (time.closest(".field-row, .form-row") || time.parentElement).after(place);
      place.addEventListener("click", (event) => {
        const button = event.target.closest("[data-slot]");
        if (!button) return;
        time.value = button.dataset.slot;
        if (stations && !stations.selectedOptions.length) pick(stations, button.dataset.station, button.dataset.text);
        time.focus();
      });
    }
    place.innerHTML = text;
  }

  const showAllSlots = () => steps().forEach(showSlots);

  $(document).on("change", "#id_procedure", async () => {
    const chosen = field("procedure").value;
    if (!chosen) return;
    const answer = await fetched(aids.dataset.procedureUrl.replace("/0/", `/${chosen}/`));
    if (!answer) return;
    const procedure = await answer.json();
    fill(field("requested_procedure_description"), procedure.description);
    procedureStation = procedure.station;
    for (const step of steps()) {
      fill(field(`${step}modality`), procedure.modality);
      fill(field(`${step}scheduled_procedure_step_description`), procedure.description);
      const stations = field(`${step}stations`);
      if (procedureStation && stations && !stations.selectedOptions.length) {
        pick(stations, procedureStation.id, procedureStation.text);
      }
    }
    showAllSlots();
  });
  $(document).on("change", `[name$="-stations"], [name$="-scheduled_date"], [name$="-modality"]`, showAllSlots);
  document.addEventListener("formset:added", showAllSlots);
  showAllSlots();

  // A new entry begins with the patient: straight to typing.
  if (field("new_family_name") && !document.querySelector(".errorlist")) {
    const begin = () => document.querySelector("#id_patient + .select2 .select2-selection")?.focus();
    // The field is made by a callback of jQuery's, which may come after the window's load on a slow machine.
    if (document.readyState === "complete") $(begin);
    else window.addEventListener("load", () => $(begin));
  }

  const newPatient = ["family_name", "given_name", "patient_birth_date", "patient_id"];
  const box = document.createElement("div");
  box.className = "g-page";
  box.id = "similar-patients";
  box.setAttribute("aria-live", "polite");
  const last = field("new_patient_sex") || field("new_patient_id");
  if (last) {
    (last.closest("fieldset, .form-row") || last.parentElement).after(box);
    let waiting = null;
    const look = () => {
      clearTimeout(waiting);
      waiting = setTimeout(async () => {
        const values = Object.fromEntries(newPatient.map((name) => [name, field(`new_${name}`)?.value || ""]));
        if (!values.family_name && !values.patient_id) {
          box.replaceChildren();
          return;
        }
        const parameters = new URLSearchParams({ ...values, birth_date: values.patient_birth_date });
        const answer = await fetched(aids.dataset.similarUrl, parameters);
        box.innerHTML = answer ? await answer.text() : "";
      }, 250);
    };
    for (const name of newPatient) {
      field(`new_${name}`)?.addEventListener("input", look);
      field(`new_${name}`)?.addEventListener("change", look);
    }
    box.addEventListener("click", (event) => {
      const button = event.target.closest("[data-use-patient]");
      if (!button) return;
      pick(field("patient"), button.dataset.usePatient, button.dataset.text);
      for (const name of [...newPatient, "issuer_of_patient_id", "patient_sex"]) {
        if (field(`new_${name}`)) field(`new_${name}`).value = "";
      }
      box.replaceChildren();
      document.querySelector("#id_procedure + .select2 .select2-selection")?.focus();
    });
  }
});
