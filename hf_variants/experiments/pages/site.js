// Draws the figures of a page (window.figures, by the name of the image that each stands for) with plotly.js.
"use strict";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
// No bar of buttons: it covers the legend, and offers to send data away. Dragging zooms, a double click goes back.
const options = { responsive: true, displayModeBar: false, showTips: false };

// Figures are made in the ink, black, white and grid of the PNGs; the page's own stand in for them.
function themed(figure) {
  const style = getComputedStyle(document.documentElement);
  const stands = { "#333333": "--ink", "#000000": "--strong", "#ffffff": "--page", "#dddddd": "--line" };
  const swap = (color) => style.getPropertyValue(stands[color]).trim();
  return JSON.parse(JSON.stringify(figure).replace(new RegExp(Object.keys(stands).join("|"), "g"), swap));
}

function control(box, words, input) {
  const label = document.createElement("label");
  label.append(...(input.type === "checkbox" ? [input, words] : [words, input]));
  box.append(label);
  return input;
}

function viewChoice(box, views) {
  const select = control(box, "Show ", document.createElement("select"));
  views.forEach((view, index) => select.add(new Option(view.name, index)));
  return select;
}

function logSwitch(box) {
  const input = document.createElement("input");
  input.type = "checkbox";
  return control(box, "logarithmic y axis", input);
}

function start(chart) {
  const figure = window.figures[chart.dataset.figure];
  const box = chart.parentElement.querySelector(".controls");
  const choice = figure.views.length > 1 ? viewChoice(box, figure.views) : null;
  const log = figure.log_switch ? logSwitch(box) : null;
  const draw = () => {
    const { data, layout } = themed(figure.views[choice ? choice.value : 0].figure);
    layout.yaxis.type = log && log.checked ? "log" : "linear";
    layout.yaxis.uirevision += layout.yaxis.type; // a zoom does not outlive its scale; hidden arms stay hidden
    return Plotly.react(chart, data, layout, options);
  };
  for (const input of [choice, log]) {
    if (input) input.addEventListener("change", draw);
  }
  dark.addEventListener("change", draw);
  draw();
}

document.querySelectorAll(".chart").forEach(start);
